import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type IndexTarOptions, indexTar, type TarMember } from './tar-index.js';

/** Written into every cached index and its key; a change of format gets a new number. */
const FORMAT = 1;

const cachedIndex = z.object({
  format: z.literal(FORMAT),
  path: z.string(),
  names: z.array(z.string()),
  offsets: z.array(z.int().nonnegative()),
  bytes: z.array(z.int().nonnegative()),
});

/**
 * The index of a tar, from `cacheDir` when it holds one of this very file (path, size and modification time), else
 * built and put there. Several processes may do so at once: each writes a file of its own and renames it into place.
 */
export async function loadTarIndex(
  path: string,
  cacheDir: string,
  options: IndexTarOptions = {},
): Promise<TarMember[]> {
  const { size, mtimeMs } = await stat(path);
  const key = createHash('sha256')
    .update(JSON.stringify([FORMAT, path, size, mtimeMs]))
    .digest('hex')
    .slice(0, 40);
  const directory = join(cacheDir, 'tar-index');
  const cached = join(directory, `${key}.json`);
  const found = await readCached(cached);
  if (found !== undefined) return found;

  const members = await indexTar(path, options);
  const content = JSON.stringify({
    format: FORMAT,
    path,
    names: members.map((m) => m.name),
    offsets: members.map((m) => m.offset),
    bytes: members.map((m) => m.bytes),
  });
  await mkdir(directory, { recursive: true });
  const unfinished = join(directory, `.${key}-${randomUUID()}`);
  try {
    await writeFile(unfinished, content);
    await rename(unfinished, cached);
  } finally {
    await rm(unfinished, { force: true });
  }
  return members;
}

/** Undefined for an index that is missing or, after a crash of the machine, not whole: it is built again. */
async function readCached(path: string): Promise<TarMember[] | undefined> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const parsed = cachedIndex.safeParse(parseJson(content));
  if (!parsed.success) return undefined;
  const { names, offsets, bytes } = parsed.data;
  if (names.length !== offsets.length || names.length !== bytes.length) return undefined;
  return names.map((name, i) => ({ name, offset: offsets[i]!, bytes: bytes[i]! }));
}

/** The value of a JSON text, or undefined for anything else. */
function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
