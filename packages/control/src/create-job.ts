import type { Duration, RunSpec } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { wakeScheduler } from './messages.js';

/** Queues a job, with its first event and the message that wakes the scheduler; `pauseAt`: where it pauses by itself. */
export async function createJob(
  tx: Repositories,
  id: string,
  spec: RunSpec,
  options: { pauseAt?: Duration } = {},
): Promise<JobRow> {
  const job = await tx.jobs.create(id, spec, options);
  await tx.events.append({ jobId: id, type: 'job.state', epoch: 0, data: { from: null, to: 'queued', reason: null } });
  await wakeScheduler(tx, 'job.submitted', { jobId: id, epoch: 0 });
  return job;
}
