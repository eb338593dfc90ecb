import { readdir } from 'node:fs/promises';

/**
 * The engines that ranks of this host can open, for those who look at nodes. A built engine is told by its folder
 * alone: to try it would load it, and with it tfjs, into the worker; a rank that opens it finds out.
 */
export async function enginesOf(enginesDir: string): Promise<string[]> {
  const kind = `-${process.platform}-${process.arch}`;
  const built = (await foldersIn(enginesDir)).some((name) => name.startsWith('tensorflow-') && name.includes(kind));
  return ['onnxruntime', ...(built ? ['tensorflow'] : []), 'cpu'];
}

async function foldersIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
