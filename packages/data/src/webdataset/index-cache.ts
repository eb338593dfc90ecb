import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type BlobStore, type Cancellable, ClipyardError } from '@clipyard/contracts';
import { z } from 'zod';
import { type DataFile, type DataFiles, nameOf } from '../data-files.js';
import { indexTar, type TarMember, type TarSource } from './tar-index.js';

/** Written into every cached index and its key; a change of format gets a new number. */
const FORMAT = 1;
/** Below `cacheDir`, and in the shared store. */
const FOLDER = 'tar-index';

const cachedIndex = z.object({
  format: z.literal(FORMAT),
  path: z.string(),
  names: z.array(z.string()),
  offsets: z.array(z.int().nonnegative()),
  bytes: z.array(z.int().nonnegative()),
});

/** Bytes read at once while a tar on disk is indexed. */
const FILE_WINDOW_BYTES = 256 << 10;
/** Bytes read at once while a tar in S3 is indexed, where every read costs a round trip. */
const BLOB_WINDOW_BYTES = 4 << 20;

export interface LoadTarIndexOptions extends Cancellable {
  readonly files: DataFiles;
  readonly cacheDir: string;
  /** Where hosts share the indices of tars that each of them would have to fetch. */
  readonly shared?: BlobStore;
}

/**
 * The index of a tar, from `cacheDir`, or from the shared store, when they hold one of this very file (name, size and
 * version), else built and put there. Several processes may do so at once: each writes a file of its own and renames it
 * into place.
 */
export async function loadTarIndex(file: DataFile, options: LoadTarIndexOptions): Promise<TarMember[]> {
  const { files, cacheDir, signal } = options;
  const name = nameOf(file);
  const key = createHash('sha256')
    .update(JSON.stringify([FORMAT, name, file.bytes, file.version]))
    .digest('hex')
    .slice(0, 40);
  const cached = join(cacheDir, FOLDER, `${key}.json`);
  const found = parseIndex(await readCached(cached));
  if (found !== undefined) return found;

  const shared = file.place.kind === 'blob' ? options.shared : undefined;
  const sharedKey = `${FOLDER}/${key}.json`;
  const fetched = shared === undefined ? undefined : await readShared(shared, sharedKey, { signal });
  const fetchedMembers = parseIndex(fetched);
  if (fetched !== undefined && fetchedMembers !== undefined) {
    await writeCached(cached, fetched);
    return fetchedMembers;
  }

  const source: TarSource = {
    name,
    bytes: file.bytes,
    windowBytes: file.place.kind === 'blob' ? BLOB_WINDOW_BYTES : FILE_WINDOW_BYTES,
    read: (offset, bytes, each) => files.read(file.place, offset, bytes, each),
  };
  const members = await indexTar(source, { field: file.field, signal });
  const content = JSON.stringify({
    format: FORMAT,
    path: name,
    names: members.map((m) => m.name),
    offsets: members.map((m) => m.offset),
    bytes: members.map((m) => m.bytes),
  });
  await writeCached(cached, content);
  await shared?.put(sharedKey, Buffer.from(content), { signal });
  return members;
}

async function writeCached(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const unfinished = join(dirname(path), `.${basename(path)}-${randomUUID()}`);
  try {
    await writeFile(unfinished, content);
    await rename(unfinished, path);
  } finally {
    await rm(unfinished, { force: true });
  }
}

async function readShared(store: BlobStore, key: string, options: Cancellable): Promise<string | undefined> {
  try {
    return Buffer.from(await store.read(key, options)).toString('utf8');
  } catch (error) {
    if (error instanceof ClipyardError && error.code === 'not_found') return undefined;
    throw error;
  }
}

async function readCached(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined for an index that is missing or, after a crash of the machine, not whole: it is built again. */
function parseIndex(content: string | undefined): TarMember[] | undefined {
  if (content === undefined) return undefined;
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
