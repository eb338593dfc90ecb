import { bytesOf } from './cost.js';
import type { KeptValue } from './split.js';

export interface TapeMemory {
  /** Sizes of the arrays that a tape consists of, bytes. */
  readonly arrays: readonly number[];
  /** By kept value: which of the arrays, from its beginning, holds it. */
  readonly placeOf: ReadonlyMap<string, number>;
}

/** Places kept values in as little memory as a greedy choice finds: where one is read no more, later stages keep others. */
export function planTape(kept: ReadonlyMap<string, KeptValue>): TapeMemory {
  const arrays: number[] = [];
  const placeOf = new Map<string, number>();
  /** By array: the stage after which it is free. */
  const takenUntil: number[] = [];
  const inOrder = [...kept].sort(
    ([, a], [, b]) => a.madeIn - b.madeIn || bytesOf(b.value) - bytesOf(a.value) || b.lastReadIn - a.lastReadIn,
  );
  for (const [name, { value, madeIn, lastReadIn }] of inOrder) {
    const bytes = bytesOf(value);
    const free = arrays
      .map((size, place) => ({ size, place }))
      .filter(({ size, place }) => size >= bytes && takenUntil[place]! < madeIn)
      .sort((a, b) => a.size - b.size)[0];
    const place = free?.place ?? arrays.push(bytes) - 1;
    takenUntil[place] = lastReadIn;
    placeOf.set(name, place);
  }
  return { arrays, placeOf };
}
