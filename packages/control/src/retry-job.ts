import { type ClipyardError, fieldError, type JobState, type RunSpec } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { unavailableReference } from './checkpoint-references.js';
import { hasEnded } from './fence.js';
import { wakeForChange } from './messages.js';
import { moveJob } from './transitions.js';

/**
 * Queues a job that failed or was cancelled, with fresh restart budgets; its next attempt goes on from its newest
 * checkpoint. The caller holds the lock of the job's row. Throws `job_state_conflict`.
 */
export async function retryJob(tx: Repositories, job: JobRow): Promise<JobRow> {
  const refused = (path: string, message: string, remedy: string): ClipyardError =>
    fieldError('job_state_conflict', { path, message, value: job.state, remedy });
  const state = job.state as JobState;
  if (state !== 'failed' && state !== 'cancelled') throw refused('state', `the job is ${state}`, remedyFor(state));
  const attempt = job.epoch === 0 ? null : await tx.attempts.find(job.id, job.epoch);
  if (attempt !== null && !hasEnded(attempt))
    throw refused('state', 'its ranks still stop', 'Ask again in some seconds.');
  const trial = await tx.sweeps.trialOf(job.id);
  if (trial !== undefined) {
    const message = `it is the job of a trial of ${trial.sweepId}, which has counted its end`;
    throw refused('id', message, 'Fork it instead.');
  }
  if (job.evaluates !== null)
    throw refused('id', `it is an evaluation that ${job.evaluates} has queued`, 'Submit an evaluation of its own.');
  const newest = await tx.checkpoints.newestStep(job.id);
  const gone = await unavailableReference(tx, job.spec as unknown as RunSpec, { weightsKept: newest >= 0 });
  if (gone !== undefined)
    throw refused(gone, 'names a checkpoint that is gone', 'Submit the spec anew with another one.');
  const moved = await moveJob(tx, job, 'queued', {
    reason: 'tried again by request',
    error: null,
    finishedAt: null,
    settled: false,
    restartsInfrastructure: 0,
    restartsUser: 0,
    failuresInARow: 0,
    failedAtCheckpoint: newest,
  });
  await tx.jobs.undelay(job.id);
  await wakeForChange(tx, job.id);
  return moved;
}

function remedyFor(state: Exclude<JobState, 'failed' | 'cancelled'>): string {
  switch (state) {
    case 'queued':
    case 'starting':
    case 'running':
      return 'Cancel it first, or let it go on.';
    case 'recovering':
      return 'It starts again by itself.';
    case 'pausing':
    case 'paused':
      return 'Resume it instead.';
    case 'succeeded':
      return 'Fork it instead, with a longer duration.';
  }
}
