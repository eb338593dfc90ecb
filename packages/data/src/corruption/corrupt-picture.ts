import { type Cancellable, CORRUPTION_TYPES, type CorruptionType } from '@clipyard/contracts';
import { CounterRandom } from '@clipyard/tensor';
import { EventLoopTurns } from '../event-loop-turns.js';
import { randomKey } from '../random-key.js';
import { blur, compress, occlude, pixelate } from './detail.js';
import { gaussianNoise, impulseNoise, shotNoise } from './noise.js';
import { brighten, lowerContrast } from './tone.js';

export interface Corruption {
  readonly type: CorruptionType;
  /** 1 to 5. */
  readonly severity: number;
}

interface Amounts {
  /** By severity. */
  readonly of: readonly [number, number, number, number, number];
  apply(pixels: Uint8Array, amount: number, size: number, random: CounterRandom): Uint8Array | Promise<Uint8Array>;
}

/** The amounts of ImageNet-C (Hendrycks and Dietterich, arXiv 1903.12261, and their code); those of `occlusion` are ours. */
const CORRUPTIONS: Readonly<Record<CorruptionType, Amounts>> = {
  gaussian_noise: {
    of: [0.08, 0.12, 0.18, 0.26, 0.38],
    apply: (pixels, std, _size, random) => gaussianNoise(pixels, std, random),
  },
  shot_noise: {
    of: [60, 25, 12, 5, 3],
    apply: (pixels, photons, _size, random) => shotNoise(pixels, photons, random),
  },
  impulse_noise: {
    of: [0.03, 0.06, 0.09, 0.17, 0.27],
    apply: (pixels, share, _size, random) => impulseNoise(pixels, share, random),
  },
  gaussian_blur: { of: [1, 2, 3, 4, 6], apply: blur },
  pixelate: { of: [0.6, 0.5, 0.4, 0.3, 0.25], apply: pixelate },
  jpeg: { of: [25, 18, 15, 10, 7], apply: compress },
  contrast: { of: [0.4, 0.3, 0.2, 0.1, 0.05], apply: lowerContrast },
  brightness: { of: [0.1, 0.2, 0.3, 0.4, 0.5], apply: brighten },
  occlusion: { of: [0.1, 0.2, 0.3, 0.4, 0.5], apply: occlude },
};

export interface CorruptOptions extends Cancellable {
  /** S. */
  readonly size: number;
  readonly seed: number;
  /** Index in the data set of each picture. */
  readonly indices: readonly number[];
}

/** Pictures worked on at once, where libvips does the work. */
const CONCURRENCY = 16;

/**
 * Corrupted copies of pictures, RGB bytes [n,S,S,3]. What is random is decided by the seed, the corruption and the index of
 * the sample, so it is the same on every rank and in every run.
 */
export async function corruptPictures(
  pixels: Uint8Array,
  { type, severity }: Corruption,
  { size, seed, indices, signal }: CorruptOptions,
): Promise<Uint8Array> {
  const { of, apply } = CORRUPTIONS[type];
  const amount = of[severity - 1]!;
  const kind = 5 * CORRUPTION_TYPES.indexOf(type) + severity;
  const bytes = 3 * size ** 2;
  const out = new Uint8Array(pixels.length);
  const turns = new EventLoopTurns();
  const pending = indices.entries();
  const work = async (): Promise<void> => {
    for (const [i, index] of pending) {
      signal?.throwIfAborted();
      const [key, stream] = randomKey(seed, 'corruption', index);
      const random = new CounterRandom(key, stream + kind * 2 ** 32);
      out.set(await apply(pixels.subarray(i * bytes, (i + 1) * bytes), amount, size, random), i * bytes);
      await turns.maybeYield();
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return out;
}
