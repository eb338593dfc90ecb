import type { Group } from '@clipyard/contracts';

/** Rows of all ranks in the order of ranks, and which of them, [start, end), came from this one. */
export interface GatheredRows<T> {
  readonly rows: T;
  readonly start: number;
  readonly end: number;
}

/** Gathers rows of `width` values of which every rank may have another number. */
export async function gatherRows<T extends Float32Array | Int32Array>(
  group: Group,
  own: T,
  width: number,
  signal: AbortSignal,
): Promise<GatheredRows<T>> {
  const counts = new Int32Array(group.worldSize);
  await group.allGather(Int32Array.of(own.length / width), counts, { signal });
  const make = (length: number): T =>
    (own instanceof Float32Array ? new Float32Array(length) : new Int32Array(length)) as T;
  const longest = Math.max(...counts) * width;
  const padded = make(longest);
  padded.set(own);
  const all = make(longest * group.worldSize);
  await group.allGather(padded, all, { signal });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const rows = make(total * width);
  let at = 0;
  let start = 0;
  counts.forEach((count, rank) => {
    if (rank === group.rank) start = at;
    rows.set(all.subarray(rank * longest, rank * longest + count * width), at * width);
    at += count;
  });
  return { rows, start, end: start + counts[group.rank]! };
}

/** The contiguous part [start, end) of a list of `count` that falls to this rank. */
export function shareOf(
  count: number,
  { rank, worldSize }: Pick<Group, 'rank' | 'worldSize'>,
): { start: number; end: number } {
  const size = Math.ceil(count / worldSize);
  return { start: Math.min(count, rank * size), end: Math.min(count, (rank + 1) * size) };
}
