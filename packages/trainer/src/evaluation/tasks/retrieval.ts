import type { Group } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { type GatheredRows, gatherRows, shareOf } from '../gather-rows.js';
import { forEachSimilarity } from '../similarity.js';
import { expectedRank, hitProbability, tiedRank } from '../tied-ranks.js';

const DEPTHS = [1, 5, 10] as const;

/** n pairs of pictures and captions of all ranks: their embeddings [n,D] and which of them are the same content. */
export interface Pairs {
  readonly images: GatheredRows<Float32Array>;
  readonly texts: GatheredRows<Float32Array>;
  /** Of each pair: equal numbers are equal pictures, counted up by first appearance. */
  readonly imageIds: Int32Array;
  readonly textIds: Int32Array;
  readonly dimension: number;
}

/**
 * Retrieval both ways over pairs: recall at 1, 5 and 10, mean and median rank of the first right candidate, from 1.
 * Equal pictures are one picture and equal captions one caption; all captions of a picture are right for it, and all
 * pictures of a caption for that. Ties count as in `tied-ranks`. Each rank ranks its share of the queries.
 */
export async function retrieval(
  deps: { engine: Engine; group: Group },
  pairs: Pairs,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const { dimension } = pairs;
  const images = distinct(pairs.images.rows, pairs.imageIds, dimension);
  const texts = distinct(pairs.texts.rows, pairs.textIds, dimension);
  const values: Record<string, number> = {};
  for (const [direction, queries, candidates, partners] of [
    ['image_to_text', images, texts, partnersOf(pairs.imageIds, pairs.textIds)],
    ['text_to_image', texts, images, partnersOf(pairs.textIds, pairs.imageIds)],
  ] as const) {
    const count = queries.length / dimension;
    const { start, end } = shareOf(count, deps.group);
    const ranks = new Float32Array(end - start);
    const hits = new Float64Array(DEPTHS.length);
    await forEachSimilarity(
      deps.engine,
      { queries: queries.subarray(start * dimension, end * dimension), candidates, dimension },
      (query, similarities) => {
        const rank = tiedRank(similarities, partners[start + query]!);
        ranks[query] = expectedRank(rank);
        DEPTHS.forEach((depth, i) => {
          hits[i]! += hitProbability(rank, depth);
        });
      },
    );
    await deps.group.allReduce(hits, 'sum', { signal });
    const all = (await gatherRows(deps.group, ranks, 1, signal)).rows.sort();
    if (all.length === 0) continue;
    DEPTHS.forEach((depth, i) => {
      values[`${direction}/r${depth}`] = hits[i]! / count;
    });
    values[`${direction}/mean_rank`] = all.reduce((sum, rank) => sum + rank, 0) / all.length;
    values[`${direction}/median_rank`] = (all[(all.length - 1) >> 1]! + all[all.length >> 1]!) / 2;
  }
  return values;
}

/** The rows of distinct contents, in the order of their ids. */
function distinct(rows: Float32Array, ids: Int32Array, dimension: number): Float32Array {
  let count = 0;
  const out = new Float32Array(rows.length);
  ids.forEach((id, i) => {
    if (id < count) return;
    out.set(rows.subarray(i * dimension, (i + 1) * dimension), id * dimension);
    count++;
  });
  return out.subarray(0, count * dimension);
}

/** For each distinct id of `ids` the distinct ids of `others` that it is paired with. */
function partnersOf(ids: Int32Array, others: Int32Array): number[][] {
  const partners: Set<number>[] = [];
  ids.forEach((id, i) => {
    (partners[id] ??= new Set()).add(others[i]!);
  });
  return partners.map((set) => [...set]);
}
