import assert from 'node:assert';
import { philoxInto } from './philox.js';

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
    for (let i = 0; i < out.length; i++) out[i] = mean + std * this.normalAt(offset + i);
    return out;
  }

  /** Fills `out` with numbers of [low, high) and returns it. */
  fillUniform<T extends Float32Array | Float64Array>(out: T, options: UniformOptions = {}): T {
    const { low = 0, high = 1, offset = 0 } = options;
    for (let i = 0; i < out.length; i++) out[i] = low + (high - low) * this.uniformAt(offset + i);
    return out;
  }
}
