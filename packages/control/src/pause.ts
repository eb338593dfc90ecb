import type { Duration } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { reachedPause, stopAttempt } from './attempt-end.js';
import { hasEnded } from './fence.js';
import { wakeScheduler } from './messages.js';
import { moveJob } from './transitions.js';

/** Pausing and resuming of jobs. The caller holds the lock of the job's row. */

/** Pauses a job at once if no rank runs, else when its ranks have stopped with a checkpoint. Throws `job_state_conflict`. */
export async function pauseJob(tx: Repositories, job: JobRow, reason = 'paused by request'): Promise<JobRow> {
  const attempt = job.epoch === 0 ? null : await tx.attempts.find(job.id, job.epoch);
  if (attempt === null || hasEnded(attempt)) return await moveJob(tx, job, 'paused', { reason });
  const moved = await moveJob(tx, job, 'pausing', { reason });
  await stopAttempt(tx, moved, attempt, { reason, save: true });
  return (await tx.jobs.find(job.id))!;
}

/**
 * Queues a paused job; its next attempt goes on from the newest checkpoint. A pause that it was to make by itself is
 * kept until it was made; `pauseAt` sets the next one. Throws `job_state_conflict`.
 */
export async function resumeJob(
  tx: Repositories,
  job: JobRow,
  { reason = 'resumed by request', pauseAt }: { reason?: string; pauseAt?: Duration } = {},
): Promise<JobRow> {
  const next =
    pauseAt !== undefined || (await reachedPause(tx, job)) ? { pauseAt: pauseAt ?? null, pauseStep: null } : {};
  const moved = await moveJob(tx, job, 'queued', { reason, ...next });
  await wakeScheduler(tx, 'job.submitted', { jobId: job.id, epoch: job.epoch });
  return moved;
}
