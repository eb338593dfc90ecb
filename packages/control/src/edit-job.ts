import { fieldError, isFinalJobState, type JobPatch, type JobState } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { wakeForChange } from './messages.js';

/** Most labels that a job may have. */
export const MAX_LABELS = 64;

/**
 * Changes name, labels (null removes one) or priority. The caller holds the lock of the job's row. Throws
 * `job_state_conflict` for the priority of a job that has ended.
 */
export async function editJob(tx: Repositories, job: JobRow, patch: JobPatch): Promise<JobRow> {
  const { name, priority, labels } = patch;
  if (priority !== undefined && isFinalJobState(job.state as JobState)) {
    throw fieldError('job_state_conflict', {
      path: 'priority',
      message: `the job is ${job.state} and is not queued any more`,
      value: priority,
      remedy: 'Leave it out, or retry the job first.',
    });
  }
  const changed = {
    ...(name === undefined || name === job.name ? {} : { name }),
    ...(priority === undefined || priority === job.priority ? {} : { priority }),
    ...(labels === undefined ? {} : { labels: merged(job.labels as Record<string, string>, labels) }),
  };
  if (Object.keys(changed).length === 0) return job;
  const edited = await tx.jobs.update(job.id, changed);
  const data = { ...changed, ...(labels === undefined ? {} : { labels }) };
  await tx.events.append({ jobId: job.id, type: 'job.edited', epoch: job.epoch, data });
  if ('priority' in changed) await wakeForChange(tx, job.id);
  return edited;
}

function merged(before: Record<string, string>, patch: NonNullable<JobPatch['labels']>): Record<string, string> {
  const after = new Map(Object.entries(before));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) after.delete(key);
    else after.set(key, value);
  }
  if (after.size <= MAX_LABELS) return Object.fromEntries(after);
  throw fieldError('request_invalid', {
    path: 'labels',
    message: `makes ${after.size} labels, and a job has at most ${MAX_LABELS}`,
    value: after.size,
    remedy: 'Remove some with null.',
  });
}
