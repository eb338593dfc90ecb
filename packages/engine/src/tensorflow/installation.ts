import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

export const MANIFEST = 'engine.json';
export const BINDING = 'tfjs_binding.node';

/** What `engine.json` beside a built binding tells. */
const manifestSchema = z.object({
  format: z.literal(1),
  engine: z.literal('tensorflow'),
  version: z.string(),
  /** As Node names them; a home may be shared by machines of several kinds. */
  platform: z.string(),
  arch: z.string(),
  /** Whether `auto` tries it: its self-test found a GPU, or it was built for one. */
  gpu: z.boolean(),
  /** What it was built from. */
  source: z.string(),
  /** Folder of the libraries; relative: inside this folder. */
  library: z.string(),
  builtAt: z.string(),
});

export type Manifest = z.infer<typeof manifestSchema>;

export interface Installation extends Manifest {
  readonly folder: string;
  readonly bindingPath: string;
}

/** The engine built for this kind of machine: one with a GPU first, then the newest. */
export async function findTensorFlow(enginesDir: string): Promise<Installation | undefined> {
  const found: Installation[] = [];
  for (const name of await entriesOf(enginesDir)) {
    if (!name.startsWith('tensorflow-')) continue;
    const folder = join(enginesDir, name);
    const manifest = await readManifest(join(folder, MANIFEST));
    if (manifest?.platform === process.platform && manifest.arch === process.arch)
      found.push({ ...manifest, folder, bindingPath: join(folder, BINDING) });
  }
  return found.sort((a, b) => Number(b.gpu) - Number(a.gpu) || b.builtAt.localeCompare(a.builtAt))[0];
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Undefined for a folder without a manifest and for one of another release. */
async function readManifest(path: string): Promise<Manifest | undefined> {
  try {
    return manifestSchema.safeParse(JSON.parse(await readFile(path, 'utf8'))).data;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
