import type { Group } from '@clipyard/contracts';
import type { Embedder } from '../embedder.js';
import { gatherRows, shareOf } from '../gather-rows.js';

/** A classifier made of prompts: the mean of each class's prompt embeddings, of length 1 (CLIP, section 3.1.4). */
export interface ZeroShotClassifier {
  readonly names: readonly string[];
  /** [C,D]. */
  readonly weights: Float32Array;
}

/** Prompts that are embedded at once: more than a class may have templates. */
const PROMPTS_AT_ONCE = 1024;

/** Every rank embeds the prompts of its share of the classes; all get the whole classifier. */
export async function buildZeroShot(
  embedder: Pick<Embedder, 'dimension' | 'texts'>,
  group: Group,
  names: readonly string[],
  templates: readonly string[],
  signal: AbortSignal,
): Promise<ZeroShotClassifier> {
  const { dimension } = embedder;
  const { start, end } = shareOf(names.length, group);
  const own = new Float32Array((end - start) * dimension);
  const classesAtOnce = Math.max(1, Math.floor(PROMPTS_AT_ONCE / templates.length));
  for (let first = start; first < end; first += classesAtOnce) {
    const part = names.slice(first, Math.min(end, first + classesAtOnce));
    const prompts = part.flatMap((name) => templates.map((template) => template.replaceAll('{}', () => name)));
    const embeddings = await embedder.texts(prompts, signal);
    part.forEach((_, i) => {
      const rows = embeddings.subarray(i * templates.length * dimension, (i + 1) * templates.length * dimension);
      own.set(meanDirection(rows, dimension), (first - start + i) * dimension);
    });
  }
  return { names, weights: (await gatherRows(group, own, dimension, signal)).rows };
}

/** The mean of rows [n,D], scaled to length 1; zeros where the rows cancel out. */
function meanDirection(rows: Float32Array, dimension: number): Float64Array {
  const sum = new Float64Array(dimension);
  rows.forEach((value, i) => {
    sum[i % dimension]! += value;
  });
  const norm = Math.sqrt(sum.reduce((total, value) => total + value * value, 0));
  return norm === 0 ? sum : sum.map((value) => value / norm);
}
