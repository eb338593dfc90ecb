import type { JobEvent, JobState, PredictionSample } from '@clipyard/contracts';
import { type EventData, readEvent } from './event-data.js';

/** What is known of a run from its events so far. */
export interface Progress {
  readonly state: JobState | undefined;
  readonly epoch: number;
  readonly worldSize: number | undefined;
  readonly step: number;
  readonly totalSteps: number | undefined;
  /** Of the attempt that told the plan last. */
  readonly plannedEpoch: number;
  /** Newest value of each metric. */
  readonly latest: Readonly<Record<string, number>>;
  /** Mean time of a step of this attempt, ms, smoothed; undefined before two reports. */
  readonly stepMs: number | undefined;
  readonly lastReport: { readonly step: number; readonly atMs: number } | undefined;
  /** Pictures with predictions of the newest evaluation. */
  readonly samples: readonly PredictionSample[];
  readonly checkpoints: number;
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

export const NO_PROGRESS: Progress = {
  state: undefined,
  epoch: 0,
  worldSize: undefined,
  step: 0,
  totalSteps: undefined,
  plannedEpoch: 0,
  latest: {},
  stepMs: undefined,
  lastReport: undefined,
  samples: [],
  checkpoints: 0,
  error: undefined,
};

/** Weight of the newest step time in the smoothed one. */
const SMOOTHING = 0.2;

/** The progress after one more event. */
export function advance(before: Progress, event: JobEvent): Progress {
  // Time between attempts is no step time.
  const progress =
    event.epoch > before.epoch ? { ...before, epoch: event.epoch, stepMs: undefined, lastReport: undefined } : before;
  const read = readEvent(event);
  switch (read?.type) {
    case 'job.state':
      return { ...progress, state: read.data.to, error: read.data.error ?? progress.error };
    case 'attempt.state':
      return { ...progress, worldSize: read.data.worldSize ?? progress.worldSize };
    case 'plan': {
      const { totalSteps, startStep } = read.data;
      return event.epoch === progress.plannedEpoch
        ? progress
        : { ...progress, plannedEpoch: event.epoch, totalSteps, step: startStep };
    }
    case 'metrics':
      return afterMetrics(progress, event, read.data);
    case 'evaluation': {
      const { values, samples } = read.data;
      const latest = { ...progress.latest, ...values };
      return { ...progress, latest, samples: samples.length > 0 ? samples : progress.samples };
    }
    case 'checkpoint':
      return { ...progress, checkpoints: progress.checkpoints + 1 };
    default:
      return progress;
  }
}

function afterMetrics(progress: Progress, event: JobEvent, data: EventData<'metrics'>): Progress {
  const latest = { ...progress.latest, ...data.values };
  const step = Math.max(data.step, 0);
  const atMs = Date.parse(event.at);
  const { lastReport } = progress;
  // Metrics of other ranks come for a step that was reported already.
  if (lastReport !== undefined && step <= lastReport.step) return { ...progress, latest };
  const stepMs = lastReport === undefined ? undefined : (atMs - lastReport.atMs) / (step - lastReport.step);
  const smoothed =
    stepMs === undefined || progress.stepMs === undefined
      ? stepMs
      : progress.stepMs + SMOOTHING * (stepMs - progress.stepMs);
  return { ...progress, latest, step, stepMs: smoothed, lastReport: { step, atMs } };
}

/** Time that the run will still take, ms; undefined before it can be told. */
export function remainingMs(progress: Progress): number | undefined {
  if (progress.totalSteps === undefined || progress.stepMs === undefined) return undefined;
  return (progress.totalSteps - progress.step) * progress.stepMs;
}
