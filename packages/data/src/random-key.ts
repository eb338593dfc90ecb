import { type PhiloxKey, philox } from '@clipyard/tensor';

/**
 * The purposes for which data draws random numbers. Each has streams of its own, so that a change of one (another
 * augmentation, say) leaves the numbers of all others as they were.
 */
const PURPOSES = {
  shardOrder: 1,
  sampleOrder: 2,
  replacement: 3,
  crop: 4,
  shapeAttributes: 5,
  syntheticSample: 6,
  corruption: 7,
} as const;
export type RandomPurpose = keyof typeof PURPOSES;

/** The generator key of (seed, purpose, index): seed below 2^32, index an integer in [0, 2^53). */
export function randomKey(seed: number, purpose: RandomPurpose, index = 0): PhiloxKey {
  const [first, second] = philox([seed >>> 0, PURPOSES[purpose]], [index >>> 0, Math.floor(index / 2 ** 32), 0, 0]);
  return [first, second];
}

/** `count` numbers in [0, 1) that belong to (seed, purpose, index), multiples of 2^-32. */
export function randomUniforms(seed: number, purpose: RandomPurpose, index: number, count: number): Float64Array {
  const key = randomKey(seed, purpose, index);
  const out = new Float64Array(count);
  for (let i = 0; i < count; i += 4) {
    const words = philox(key, [i / 4, 0, 0, 0]);
    for (let j = 0; j < 4 && i + j < count; j++) out[i + j] = words[j]! * 2 ** -32;
  }
  return out;
}
