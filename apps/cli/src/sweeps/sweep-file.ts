import { dirname, resolve } from 'node:path';
import { applySettings, readSpecFile } from '../spec-file.js';

/** Reads a sweep spec from a YAML or JSON file; where `base` is a path, relative to that file, the run spec there takes its place. */
export async function readSweepFile(file: string, settings: readonly string[]): Promise<unknown> {
  const spec = await readSpecFile(file);
  if (typeof spec === 'object' && spec !== null && 'base' in spec && typeof spec.base === 'string')
    return applySettings({ ...spec, base: await readSpecFile(resolve(dirname(file), spec.base)) }, settings);
  return applySettings(spec, settings);
}
