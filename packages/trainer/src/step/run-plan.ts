import assert from 'node:assert';
import type { RunSpec } from '@clipyard/contracts';

/** How a run's batches fall to the ranks. The global batch never depends on the world size; the rest follows from it. */
export interface RunPlan {
  /** B, samples a step over all ranks. */
  readonly globalBatch: number;
  readonly worldSize: number;
  readonly rank: number;
  /** b = B/W, samples a step of this rank. */
  readonly localBatch: number;
  /** m, samples that are encoded at once: the largest divisor of b that is at most the spec's. */
  readonly microBatch: number;
  /** b/m. */
  readonly microBatches: number;
  readonly totalSteps: number;
}

export function planRun(
  spec: Pick<RunSpec, 'batch' | 'duration'>,
  trainSamples: number,
  rank: number,
  worldSize: number,
): RunPlan {
  const { global: globalBatch, micro = globalBatch } = spec.batch;
  assert(globalBatch % worldSize === 0, 'the scheduler chose a world size that divides the global batch');
  const localBatch = globalBatch / worldSize;
  let microBatch = Math.min(micro, localBatch);
  while (localBatch % microBatch !== 0) microBatch--;
  return {
    globalBatch,
    worldSize,
    rank,
    localBatch,
    microBatch,
    microBatches: localBatch / microBatch,
    totalSteps: stepsOf(spec.duration, globalBatch, trainSamples),
  };
}

/** Steps of the whole run; a duration in samples or epochs is rounded up to whole global batches. */
function stepsOf(duration: RunSpec['duration'], globalBatch: number, trainSamples: number): number {
  if ('steps' in duration) return duration.steps;
  const samples = 'samples' in duration ? duration.samples : duration.epochs * trainSamples;
  return Math.max(1, Math.ceil(samples / globalBatch));
}
