/**
 * Philox 4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 * Stateless: the same key and counter always give the same four words, so any part of a stream can be drawn anywhere.
 */
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** What the rounds multiply by and add to the key, for other ways to compute the same. */
export const philoxKeys = {
  multipliers: [MULTIPLIER_0, MULTIPLIER_1],
  weyl: [WEYL_0, WEYL_1],
  rounds: ROUNDS,
} as const;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const highLow = aHigh * bLow;
  const middle = aLow * bHigh + ((aLow * bLow) >>> 16) + (highLow & 0xffff);
  return (aHigh * bHigh + (highLow >>> 16) + (middle >>> 16)) >>> 0;
}

/** Writes the four words of one block to `out[0..3]`; every number is an unsigned 32-bit integer. */
export function philoxInto(
  out: Uint32Array,
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
): void {
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  let c0 = counter0 >>> 0;
  let c1 = counter1 >>> 0;
  let c2 = counter2 >>> 0;
  let c3 = counter3 >>> 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

export type PhiloxKey = readonly [number, number];
export type PhiloxCounter = readonly [number, number, number, number];

/** One block of four unsigned 32-bit words. */
export function philox(key: PhiloxKey, counter: PhiloxCounter): [number, number, number, number] {
  const out = new Uint32Array(4);
  philoxInto(out, key[0], key[1], counter[0], counter[1], counter[2], counter[3]);
  return [out[0]!, out[1]!, out[2]!, out[3]!];
}
