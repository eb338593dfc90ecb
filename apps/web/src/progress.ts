import { isFinalJobState, type Job } from '@clipyard/contracts';

type Progress = Pick<Job, 'state' | 'step' | 'totalSteps' | 'latest'>;

/** Done, 0 to 1; undefined before the ranks have planned. */
export function progressOf({ state, step, totalSteps }: Progress): number | undefined {
  if (totalSteps === null || totalSteps === 0) return state === 'succeeded' ? 1 : undefined;
  return Math.min(1, step / totalSteps);
}

/** Time that a running job still takes at its present speed, ms; undefined when that cannot be told. */
export function remainingMs({ state, step, totalSteps, latest }: Progress): number | undefined {
  const stepMs = latest['time/step_ms'];
  if (state !== 'running' || totalSteps === null || stepMs === undefined) return undefined;
  return Math.max(0, totalSteps - step) * stepMs;
}

/** From the first start to the end, or until now, ms; undefined before it started. */
export function elapsedMs(job: Pick<Job, 'startedAt' | 'finishedAt'>, now: number): number | undefined {
  if (job.startedAt === null) return undefined;
  return (job.finishedAt === null ? now : Date.parse(job.finishedAt)) - Date.parse(job.startedAt);
}

export const isActive = (job: Pick<Job, 'state'>): boolean => !isFinalJobState(job.state) && job.state !== 'paused';
