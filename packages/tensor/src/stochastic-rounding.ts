import { fromFloat16 } from './half.js';
import type { CounterRandom } from './random.js';

/** Stochastic rounding of long arrays (Gupta et al., arXiv 1502.02551), 16 random bits an element. */

/** Number i of a stream, cut in halves, is for elements 2i and 2i + 1. The next call overwrites the result. `offset` is even. */
export function randomBits(random: CounterRandom, offset: number, count: number): Uint16Array {
  const needed = Math.ceil(count / 2);
  if (drawn.length < needed) drawn = new Uint32Array(needed);
  random.fillWords(drawn.subarray(0, needed), offset / 2);
  return new Uint16Array(drawn.buffer, 0, count);
}

let drawn = new Uint32Array(0);

export const wordsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Not a finite number, by its bits. */
const EXPONENT = 0x7f800000;
const SIGN = 0x8000;

/** The bf16 pattern of a float, by its bits. A carry moves into the exponent, as it should; infinities and NaN stay. */
export const narrowBfloat16 = (word: number, random: number): number =>
  ((word & EXPONENT) === EXPONENT ? notFinite(word) : word + random) >>> 16;

const notFinite = (word: number): number => ((word & 0x7fffff) === 0 ? word : word | 0x400000);

/** The fp16 pattern of a float below 2^16 in magnitude, or of an infinity or NaN, by its bits and value. */
export function narrowFloat16(word: number, value: number, random: number): number {
  const sign = (word >>> 16) & SIGN;
  const magnitude = word & 0x7fffffff;
  if (magnitude >= EXPONENT) return sign | (magnitude === EXPONENT ? 0x7c00 : 0x7e00);
  // Normal numbers of fp16: drop 13 bits of the mantissa and rebase the exponent.
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + (random >>> 3)) >>> 13);
  // Below: multiples of 2^-24.
  return sign | Math.floor(Math.abs(value) * 2 ** 24 + random / 65536);
}

/** Each fp16 pattern's value. */
export function wideFloat16(): Float32Array {
  wide ??= Float32Array.from({ length: 1 << 16 }, (_, pattern) => fromFloat16(pattern));
  return wide;
}

let wide: Float32Array | undefined;

/** Rounds in place to what `storage` holds, still float32; element i draws as element `offset` + i of the stream. */
export function roundStochastically(
  values: Float32Array,
  storage: 'bf16' | 'fp16',
  random: CounterRandom,
  offset: number,
): void {
  for (let at = 0; at < values.length; at += PIECE) {
    const piece = values.subarray(at, at + PIECE);
    const words = wordsOf(piece);
    const bits = randomBits(random, offset + at, piece.length);
    if (storage === 'bf16') {
      for (let i = 0; i < words.length; i++) words[i] = narrowBfloat16(words[i]!, bits[i]!) << 16;
    } else {
      const table = wideFloat16();
      for (let i = 0; i < words.length; i++) piece[i] = table[narrowFloat16(words[i]!, piece[i]!, bits[i]!)]!;
    }
  }
}

/** Elements whose random bits are drawn at once. */
const PIECE = 1 << 16;
