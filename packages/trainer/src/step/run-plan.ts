import assert from 'node:assert';
import type { Duration, RunSpec } from '@clipyard/contracts';

/** How a run's batches fall to the ranks. The global batch never depends on the world size; the rest follows from it. */
export interface RunPlan {
  /** B, samples a step over all ranks. */
  readonly globalBatch: number;
  readonly worldSize: number;
  readonly rank: number;
  /** b = B/W, samples a step of this rank. */
  readonly localBatch: number;
  /** m, samples that are encoded at once: the largest divisor of b that is at most the spec's, or our own limit. */
  readonly microBatch: number;
  /** b/m. */
  readonly microBatches: number;
  /** Whether what the backward pass needs is kept for all of them, or they are encoded again, which takes less memory. */
  readonly keepsTapes: boolean;
  readonly totalSteps: number;
}

/** Samples that a CPU encodes at once where memory is not short: the activations of more leave its caches. */
const CACHED_MICRO_BATCH = { least: 16, most: 64 };

export interface PlanOptions {
  readonly rank: number;
  readonly worldSize: number;
  /**
   * Whether a share may be cut into micro-batches where the spec names none: on a CPU, and not where local batch norm makes
   * them part of the arithmetic.
   */
  readonly cutsShare: boolean;
}

export function planRun(
  spec: Pick<RunSpec, 'batch' | 'duration'>,
  trainSamples: number,
  { rank, worldSize, cutsShare }: PlanOptions,
): RunPlan {
  const { global: globalBatch, micro } = spec.batch;
  assert(globalBatch % worldSize === 0, 'the scheduler chose a world size that divides the global batch');
  const localBatch = globalBatch / worldSize;
  const unasked = cutsShare ? cachedMicroBatch(localBatch) : localBatch;
  const microBatch = micro === undefined ? unasked : largestDivisor(localBatch, micro);
  return {
    globalBatch,
    worldSize,
    rank,
    localBatch,
    microBatch,
    microBatches: localBatch / microBatch,
    keepsTapes: micro === undefined || microBatch === localBatch,
    totalSteps: stepsOf(spec.duration, globalBatch, trainSamples),
  };
}

const cachedMicroBatch = (localBatch: number): number => {
  const size = largestDivisor(localBatch, CACHED_MICRO_BATCH.most);
  return size < CACHED_MICRO_BATCH.least ? localBatch : size;
};

function largestDivisor(n: number, atMost: number): number {
  let divisor = Math.min(n, atMost);
  while (n % divisor !== 0) divisor--;
  return divisor;
}

/** Steps of a duration; one in samples or epochs is rounded up to whole global batches. */
export function stepsOf(duration: Duration, globalBatch: number, trainSamples: number): number {
  if ('steps' in duration) return duration.steps;
  const samples = 'samples' in duration ? duration.samples : duration.epochs * trainSamples;
  return Math.max(1, Math.ceil(samples / globalBatch));
}
