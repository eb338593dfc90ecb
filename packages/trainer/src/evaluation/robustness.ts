import type { CorruptionType, RunSpec } from '@clipyard/contracts';
import { type Corruption, corruptPictures } from '@clipyard/data';
import type { Embedder } from './embedder.js';
import type { EvaluationShare } from './evaluation-share.js';
import type { Values } from './tasks/task.js';

export interface RobustnessOptions {
  readonly embedder: Embedder;
  readonly share: EvaluationShare;
  readonly corruptions: NonNullable<RunSpec['evaluate']['corruptions']>;
  /** Seed of the run. */
  readonly seed: number;
  readonly signal: AbortSignal;
}

export interface Robustness {
  /** Means over types and severities, what part they are of the figures of clean pictures, means by type. */
  readonly values: Values;
  readonly bySeverity: readonly (Corruption & { readonly values: Values })[];
}

/** Judges corrupted pictures by each of the tasks; `clean`: the figures of the pictures as they are. */
export async function robustness(
  options: RobustnessOptions,
  tasks: readonly { readonly clean: Values; judge(images: Float32Array): Promise<Values> }[],
): Promise<readonly Robustness[]> {
  const { types, severities } = options.corruptions;
  const found = tasks.map((): (Corruption & { values: Values })[] => []);
  for (const corruption of types.flatMap((type) => severities.map((severity) => ({ type, severity })))) {
    const images = await embedCorrupted(options, corruption);
    for (const [i, task] of tasks.entries()) found[i]!.push({ ...corruption, values: await task.judge(images) });
  }
  return tasks.map(({ clean }, i) => ({ values: summary(clean, found[i]!, types), bySeverity: found[i]! }));
}

/** Embeddings [n,D] of the share's pictures, corrupted. */
async function embedCorrupted(
  { embedder, share, seed, signal }: RobustnessOptions,
  corruption: Corruption,
): Promise<Float32Array> {
  const size = embedder.config.vision_cfg.image_size;
  const parts: Float32Array[] = [];
  for await (const { pixels, indices } of share.chunks(signal)) {
    const corrupted = await corruptPictures(pixels, corruption, { size, seed, indices, signal });
    parts.push((await embedder.images(corrupted, signal)).image!);
  }
  const images = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => {
    images.set(part, at);
    return at + part.length;
  }, 0);
  return images;
}

function summary(clean: Values, found: Robustness['bySeverity'], types: readonly CorruptionType[]): Values {
  const values: Record<string, number> = {};
  for (const name of Object.keys(found[0]!.values)) {
    const mean = (of: Robustness['bySeverity']): number =>
      of.reduce((sum, { values: v }) => sum + v[name]!, 0) / of.length;
    values[`corrupted/${name}`] = mean(found);
    if (clean[name]! > 0) values[`corrupted/${name}_relative`] = mean(found) / clean[name]!;
    for (const type of types) values[`corrupted/${type}/${name}`] = mean(found.filter((one) => one.type === type));
  }
  return values;
}
