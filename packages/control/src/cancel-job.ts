import { isFinalJobState, type JobState } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { stopAttempt } from './attempt-end.js';
import { moveJob } from './transitions.js';

/**
 * Cancels a job, stops its ranks, and cancels the evaluations that it has queued. The caller holds the lock of the job's
 * row. Throws `job_state_conflict` for a job that has ended.
 */
export async function cancelJob(tx: Repositories, job: JobRow, reason: string): Promise<JobRow> {
  const moved = await moveJob(tx, job, 'cancelled', { finishedAt: new Date(), reason });
  const attempt = job.epoch === 0 ? null : await tx.attempts.find(job.id, job.epoch);
  if (attempt !== null) await stopAttempt(tx, moved, attempt, { reason, save: false });
  for (const { id } of await tx.jobs.unsettledEvaluations(job.id)) {
    const evaluation = await tx.jobs.lock(id);
    if (evaluation !== null && !isFinalJobState(evaluation.state as JobState))
      await cancelJob(tx, evaluation, 'its run was cancelled');
  }
  return moved;
}
