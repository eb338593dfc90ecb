import assert from 'node:assert';
import { philoxInto } from './philox.js';
import { MAX_BLOCKS, type PhiloxBlocks, philoxBlocks } from './philox-blocks.js';

const TWO_32 = 2 ** 32;

export interface NormalOptions {
  /** Default 0. */
  readonly mean?: number;
  /** Default 1. */
  readonly std?: number;
  /** Index in the stream of the first value; default 0. */
  readonly offset?: number;
}

export interface UniformOptions {
  /** Inclusive; default 0. */
  readonly low?: number;
  /** Exclusive; default 1. */
  readonly high?: number;
  /** Index in the stream of the first value; default 0. */
  readonly offset?: number;
}

/**
 * An endless stream of random numbers named by (seed, stream), read at any index: value i does not depend on what was
 * drawn before, so it is the same on every rank and after every resume. Seed, stream and index are integers in [0, 2^53).
 */
export class CounterRandom {
  readonly #seedLow: number;
  readonly #seedHigh: number;
  readonly #streamLow: number;
  readonly #streamHigh: number;
  readonly #words = new Uint32Array(4);
  #block = -1;

  constructor(seed: number, stream = 0) {
    assert(Number.isSafeInteger(seed) && seed >= 0, 'the seed is an integer in [0, 2^53)');
    assert(Number.isSafeInteger(stream) && stream >= 0, 'the stream is an integer in [0, 2^53)');
    this.#seedLow = seed >>> 0;
    this.#seedHigh = Math.floor(seed / TWO_32);
    this.#streamLow = stream >>> 0;
    this.#streamHigh = Math.floor(stream / TWO_32);
  }

  /** An unsigned 32-bit integer. */
  uint32At(index: number): number {
    const block = Math.floor(index / 4);
    if (block !== this.#block) {
      const high = Math.floor(block / TWO_32);
      philoxInto(this.#words, this.#seedLow, this.#streamLow, block >>> 0, high, this.#streamHigh, this.#seedHigh);
      this.#block = block;
    }
    return this.#words[index - 4 * block]!;
  }

  /** Fills `out` with the integers from index `offset` on and returns it. */
  fillWords(out: Uint32Array, offset = 0): Uint32Array {
    for (let i = 0; i < out.length; ) {
      const words = this.#wordsFrom(offset + i, out.length - i);
      out.set(words, i);
      i += words.length;
    }
    return out;
  }

  /** A number in [0, 1), a multiple of 2^-24, so float32 holds it exactly and never rounds it up to 1. */
  uniformAt(index: number): number {
    return (this.uint32At(index) >>> 8) * 2 ** -24;
  }

  /** A standard normal number (Box and Muller 1958): indices 2k and 2k + 1 are the cosine and sine of one pair of draws. */
  normalAt(index: number): number {
    const odd = index % 2;
    const first = index - odd;
    // The half keeps the logarithm away from 0; the largest magnitude is sqrt(2 ln 2^33) = 6.76.
    const radius = Math.sqrt(-2 * Math.log((this.uint32At(first) + 0.5) / TWO_32));
    const angle = (2 * Math.PI * this.uint32At(first + 1)) / TWO_32;
    return radius * (odd === 0 ? Math.cos(angle) : Math.sin(angle));
  }

  /** Fills `out` with normal numbers and returns it. */
  fillNormal<T extends Float32Array | Float64Array>(out: T, options: NormalOptions = {}): T {
    const { mean = 0, std = 1, offset = 0 } = options;
    let i = 0;
    if (offset % 2 === 1 && out.length > 0) out[i++] = mean + std * this.normalAt(offset);
    while (i + 1 < out.length) {
      const words = this.#wordsFrom(offset + i, out.length - i);
      for (let w = 0; w + 1 < words.length; w += 2, i += 2) {
        const radius = Math.sqrt(-2 * Math.log((words[w]! + 0.5) / TWO_32));
        const angle = (2 * Math.PI * words[w + 1]!) / TWO_32;
        out[i] = mean + std * (radius * Math.cos(angle));
        out[i + 1] = mean + std * (radius * Math.sin(angle));
      }
    }
    if (i < out.length) out[i] = mean + std * this.normalAt(offset + i);
    return out;
  }

  /** Fills `out` with numbers of [low, high) and returns it. */
  fillUniform<T extends Float32Array | Float64Array>(out: T, options: UniformOptions = {}): T {
    const { low = 0, high = 1, offset = 0 } = options;
    for (let i = 0; i < out.length; ) {
      const words = this.#wordsFrom(offset + i, out.length - i);
      for (let w = 0; w < words.length; w++, i++) out[i] = low + (high - low) * ((words[w]! >>> 8) * 2 ** -24);
    }
    return out;
  }

  /** The words from `index` on, at most `count` and at least one block's rest; the next call overwrites them. */
  #wordsFrom(index: number, count: number): Uint32Array {
    blocks ??= philoxBlocks();
    const block = Math.floor(index / 4);
    const skip = index - 4 * block;
    const low = block >>> 0;
    const high = Math.floor(block / TWO_32);
    // The vector code counts in the low word only.
    const number = Math.min(Math.ceil((skip + count) / 4), MAX_BLOCKS, TWO_32 - low);
    const words = blocks.words(number, this.#seedLow, this.#streamLow, low, high, this.#streamHigh, this.#seedHigh);
    return words.subarray(skip, skip + count);
  }
}

/** Made when first used: a module of 2 KB, compiled once a thread. */
let blocks: PhiloxBlocks | undefined;
