import type { Tensor } from '@clipyard/engine';
import { CounterRandom } from '@clipyard/tensor';
import type { VitConfig } from './model-config.js';

/**
 * Patch dropout (FLIP, Li et al., arXiv 2212.00794): in training the image tower sees a random subset of each picture's
 * patches, as many of each, and its class token. Legend: m pictures, g² patches a picture, k of them kept.
 */

/** Of the random numbers that choose: apart from those of initial weights and of rounding, which lie below it. */
const STREAM = 2 ** 49;

/** The choice as inputs of a program. */
export interface KeptPatches<T = Tensor> {
  /** int32 [m·k]: rows among all m·g² patches. */
  readonly keptPatches: T;
  /** int32 [m·(k+1)]: rows of the positional embedding, of each picture's class token and then its patches. */
  readonly keptPositions: T;
}

const patchesOf = ({ image_size: size, patch_size: patch }: VitConfig): number => (size / patch) ** 2;

/** k, as open_clip counts it; g² without patch dropout. */
export const keptCount = (vision: VitConfig): number =>
  Math.max(1, Math.floor(patchesOf(vision) * (1 - (vision.patch_dropout ?? 0))));

/** Which patches are kept of `samples` pictures, the first at `position` in the run: by (seed, position) alone. */
export function drawPatches(
  vision: VitConfig,
  { seed, position, samples }: { seed: number; position: number; samples: number },
): KeptPatches<Int32Array> {
  const [count, kept] = [patchesOf(vision), keptCount(vision)];
  const random = new CounterRandom(seed, STREAM);
  const words = new Uint32Array(kept);
  const order = new Int32Array(count);
  const keptPatches = new Int32Array(samples * kept);
  const keptPositions = new Int32Array(samples * (kept + 1));
  for (let sample = 0; sample < samples; sample++) {
    random.fillWords(words, (position + sample) * count);
    for (let i = 0; i < count; i++) order[i] = i;
    // The beginning of a shuffle (Fisher and Yates).
    for (let i = 0; i < kept; i++) {
      const other = i + Math.floor((words[i]! * (count - i)) / 2 ** 32);
      [order[i], order[other]] = [order[other]!, order[i]!];
    }
    const chosen = order.subarray(0, kept).sort();
    for (let i = 0; i < kept; i++) {
      keptPatches[sample * kept + i] = sample * count + chosen[i]!;
      keptPositions[sample * (kept + 1) + 1 + i] = 1 + chosen[i]!;
    }
  }
  return { keptPatches, keptPositions };
}
