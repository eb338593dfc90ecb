import assert from 'node:assert';
import { feistelPermutation } from '@clipyard/tensor';
import { randomKey } from './random-key.js';

/** A window holds at least this many shards and at least this many samples (or all there are), and is shuffled as one. */
const WINDOW_SHARDS = 16;
const WINDOW_SAMPLES = 65_536;
/** Epochs whose order of shards is remembered: the present one and the one that is prefetched. */
const REMEMBERED_EPOCHS = 2;

export interface SamplerOptions {
  /** Number of samples N. */
  readonly size: number;
  readonly seed: number;
  /** Samples in each shard, summing to N: reads then stay within a few shards at a time; unset: anywhere at once. */
  readonly shardSizes?: readonly number[];
}

interface Window {
  /** Position in the epoch of its first sample. */
  readonly start: number;
  readonly size: number;
  /** Its shards: where each begins in the window and in the data set. */
  readonly shards: readonly { readonly start: number; readonly index: number }[];
}

/**
 * The order of training: position p = epoch * N + offset maps to a sample, each exactly once an epoch, by (seed, epoch)
 * alone. So it is independent of world size and batch size, and a checkpoint needs one number to resume.
 */
export class Sampler {
  readonly size: number;
  readonly #seed: number;
  readonly #shards: readonly { readonly index: number; readonly size: number }[] | undefined;
  readonly #windows = new Map<number, readonly Window[]>();
  #cachedKey = '';
  #cachedOrder: (index: number) => number = (index) => index;

  constructor(options: SamplerOptions) {
    const { size, seed, shardSizes } = options;
    assert(Number.isSafeInteger(size) && size > 0, 'there is at least one sample');
    this.size = size;
    this.#seed = seed;
    if (shardSizes !== undefined) {
      let index = 0;
      this.#shards = shardSizes.map((count) => {
        const shard = { index, size: count };
        index += count;
        return shard;
      });
      assert(index === size, 'the sizes of the shards sum to the number of samples');
    }
  }

  /** The index of the sample at `position`, an integer in [0, 2^53). */
  indexAt(position: number): number {
    assert(Number.isSafeInteger(position) && position >= 0, 'a position is a natural number');
    const epoch = Math.floor(position / this.size);
    const offset = position - epoch * this.size;
    if (this.#shards === undefined) return this.#order(this.size, epoch, 0)(offset);
    const windows = this.#windowsOf(epoch);
    const number = lastStartingAtOrBefore(windows, offset);
    const window = windows[number]!;
    const within = this.#order(window.size, epoch, number)(offset - window.start);
    const shard = window.shards[lastStartingAtOrBefore(window.shards, within)]!;
    return shard.index + (within - shard.start);
  }

  #order(size: number, epoch: number, window: number): (index: number) => number {
    const key = `${epoch}/${window}`;
    if (key !== this.#cachedKey) {
      const [epochKey] = randomKey(this.#seed, 'sampleOrder', epoch);
      this.#cachedOrder = feistelPermutation(size, randomKey(epochKey, 'sampleOrder', window));
      this.#cachedKey = key;
    }
    return this.#cachedOrder;
  }

  #windowsOf(epoch: number): readonly Window[] {
    const known = this.#windows.get(epoch);
    if (known !== undefined) return known;
    const shards = this.#shards!;
    const shardAt = feistelPermutation(shards.length, randomKey(this.#seed, 'shardOrder', epoch));
    const windows: Window[] = [];
    let start = 0;
    let members: { start: number; index: number }[] = [];
    let size = 0;
    for (let i = 0; i < shards.length; i++) {
      const shard = shards[shardAt(i)]!;
      if (shard.size > 0) members.push({ start: size, index: shard.index });
      size += shard.size;
      const full = members.length >= WINDOW_SHARDS && size >= WINDOW_SAMPLES;
      if (size > 0 && (full || i === shards.length - 1)) {
        windows.push({ start, size, shards: members });
        start += size;
        members = [];
        size = 0;
      }
    }
    while (this.#windows.size >= REMEMBERED_EPOCHS) this.#windows.delete(this.#windows.keys().next().value!);
    this.#windows.set(epoch, windows);
    return windows;
  }
}

/** The index of the last entry whose start is at most `offset`, by binary search; starts ascend from 0. */
function lastStartingAtOrBefore(entries: readonly { readonly start: number }[], offset: number): number {
  let low = 0;
  let high = entries.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (entries[middle]!.start <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
