import {
  type ClipyardError,
  fieldError,
  isFinalJobState,
  isFinalSweepState,
  type JobState,
  type RunSpec,
  TRIAL_OPEN_STATES,
} from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { referredJobs } from './checkpoint-references.js';
import { isOver } from './fence.js';
import { removeFiles } from './messages.js';

/** Below this lies all that the ranks of a job write. */
const folderOf = (jobId: string): string => `runs/${jobId}`;

/**
 * Removes a job that has ended, its ranks too, and what belongs to it: checkpoints with their files, metrics, logs,
 * events, evaluations that it has queued. The caller holds the lock of the job's row. Throws `job_state_conflict`.
 */
export async function deleteJob(tx: Repositories, job: JobRow): Promise<void> {
  const refused = (message: string, remedy: string): ClipyardError =>
    fieldError('job_state_conflict', { path: 'state', message, value: job.state, remedy });
  if (!isFinalJobState(job.state as JobState)) throw refused(`the job is ${job.state}`, 'Cancel it first.');
  if (!(await isOver(tx, job))) throw refused('its ranks still stop', 'Ask again in some seconds.');
  const trial = await tx.sweeps.trialOf(job.id);
  if (trial !== undefined && (!isFinalSweepState(trial.sweepState) || TRIAL_OPEN_STATES.includes(trial.state)))
    throw refused(`it is the job of a trial of ${trial.sweepId}, which has not ended`, 'Cancel the sweep first.');
  const evaluations = await tx.jobs.evaluationsOf(job.id);
  for (const evaluation of evaluations) {
    if (await isOver(tx, evaluation)) continue;
    throw refused(`its evaluation ${evaluation.id} is ${evaluation.state}`, 'Wait for it, or cancel it.');
  }
  const other = await tx.jobs.firstNeeding(job.id);
  if (other !== undefined)
    throw refused(`${other}, which has not ended, needs a checkpoint of it`, 'Wait for that, or cancel it.');
  if (!job.settled) await lookAgain(tx, referredJobs(job.spec as unknown as RunSpec));
  for (const { id } of [...evaluations, job]) {
    await tx.idempotency.forget(id);
    await removeFiles(tx, id, [{ prefix: folderOf(id) }]);
  }
  await tx.jobs.remove(job.id);
}

/** Has retention look at jobs that have ended again: whom they held checkpoints for is gone. */
async function lookAgain(tx: Repositories, jobIds: readonly string[]): Promise<void> {
  for (const id of [...new Set(jobIds)].sort()) {
    const holder = await tx.jobs.lock(id);
    if (holder?.settled === true) await tx.jobs.update(id, { settled: false });
  }
}
