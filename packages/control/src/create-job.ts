import type { RunSpec } from '@clipyard/contracts';
import type { JobRow, NewJob, Repositories } from '@clipyard/db';
import { wakeScheduler } from './messages.js';

/** Queues a job, with its first event and the message that wakes the scheduler. */
export async function createJob(tx: Repositories, id: string, spec: RunSpec, options: NewJob): Promise<JobRow> {
  const job = await tx.jobs.create(id, spec, options);
  await tx.events.append({ jobId: id, type: 'job.state', epoch: 0, data: { from: null, to: 'queued', reason: null } });
  await wakeScheduler(tx, 'job.submitted', { jobId: id, epoch: 0 });
  return job;
}
