import { type Cancellable, ClipyardError } from '@clipyard/contracts';
import type { BadSample } from './batch-reader.js';
import { type Dataset, isBadSample, type Sample, type SampleGroup } from './dataset.js';
import { EventLoopTurns } from './event-loop-turns.js';

/** Samples read and decoded at once. */
const READ_CONCURRENCY = 16;

export interface EvaluationSamplesOptions extends Cancellable {
  /** Index of the first sample. */
  readonly offset: number;
  /** At most this many, fewer at the end of the data set. */
  readonly count: number;
  /** Told of each bad sample, which is left out. */
  onBadSample?(bad: BadSample): void;
}

/** Usable samples of a stretch of a data set, n of them. */
export interface EvaluationSamples {
  /** Index in the data set of each. */
  readonly indices: readonly number[];
  /** RGB bytes, [n, S, S, 3]; see `normalizePixels`. */
  readonly pixels: Uint8Array;
  readonly captions: readonly string[];
  /** Classes, [n]; -1 where a sample has none. */
  readonly labels: Int32Array;
  readonly groups: readonly (SampleGroup | undefined)[];
}

/** Reads samples [offset, offset + count) in order, never augmented. */
export async function loadEvaluation(dataset: Dataset, options: EvaluationSamplesOptions): Promise<EvaluationSamples> {
  const { offset, count, signal } = options;
  const total = Math.max(0, Math.min(count, dataset.size - offset));
  const samples = new Array<Sample | undefined>(total);
  const turns = new EventLoopTurns();
  const pending = samples.keys();
  await Promise.all(
    Array.from({ length: Math.min(READ_CONCURRENCY, total) }, async () => {
      for (const i of pending) {
        signal?.throwIfAborted();
        const index = offset + i;
        try {
          samples[i] = await dataset.read(index, { signal, augment: 'none', label: true });
        } catch (error) {
          if (!(error instanceof ClipyardError && isBadSample(error))) throw error;
          options.onBadSample?.({ position: index, index, error });
        }
        await turns.maybeYield();
      }
    }),
  );

  const usable = [...samples.entries()].filter((entry): entry is [number, Sample] => entry[1] !== undefined);
  const pictureBytes = dataset.imageSize ** 2 * 3;
  const pixels = new Uint8Array(usable.length * pictureBytes);
  for (const [row, [, sample]] of usable.entries()) pixels.set(sample.pixels, row * pictureBytes);
  return {
    indices: usable.map(([i]) => offset + i),
    pixels,
    captions: usable.map(([, { caption }]) => caption),
    labels: Int32Array.from(usable, ([, { label }]) => label ?? -1),
    groups: usable.map(([, { group }]) => group),
  };
}
