import type { Group } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import type { GatheredRows } from './gather-rows.js';
import { forEachSimilarity } from './similarity.js';

const DEPTHS = [1, 5, 10] as const;

/**
 * Recall at 1, 5 and 10 both ways over n pairs of embeddings [n,D]: the share of queries whose own partner is among the
 * k most similar. A tie counts as if the partner came in the middle of those that tie, so duplicates neither help nor hurt.
 */
export async function retrievalRecall(
  deps: { engine: Engine; group: Group },
  images: GatheredRows<Float32Array>,
  texts: GatheredRows<Float32Array>,
  dimension: number,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const { engine, group } = deps;
  const { start, end } = images;
  const hits = new Float64Array(2 * DEPTHS.length);
  const directions = [
    [images.rows, texts.rows],
    [texts.rows, images.rows],
  ] as const;
  for (const [direction, [a, b]] of directions.entries()) {
    await forEachSimilarity(engine, { a, b, dimension, start, end }, (row, similarities) => {
      const own = similarities[row]!;
      let above = 0;
      let tied = 0;
      for (let i = 0; i < similarities.length; i++) {
        if (similarities[i]! > own) above++;
        else if (similarities[i] === own && i !== row) tied++;
      }
      DEPTHS.forEach((depth, i) => {
        if (above + tied / 2 < depth) hits[direction * DEPTHS.length + i]!++;
      });
    });
  }
  await group.allReduce(hits, 'sum', { signal });
  const count = images.rows.length / dimension;
  return Object.fromEntries(
    ['image_to_text', 'text_to_image'].flatMap((name, direction) =>
      DEPTHS.map((depth, i) => [`eval/retrieval/${name}/r${depth}`, hits[direction * DEPTHS.length + i]! / count]),
    ),
  );
}
