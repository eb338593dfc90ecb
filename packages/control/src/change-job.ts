import type { OperationId } from '@clipyard/contracts';
import type { Database, JobRow, Repositories } from '@clipyard/db';
import type { Behalf } from './access/behalf.js';
import { found } from './found.js';

/** Changes a job that the caller sees, in one transaction under the lock of its row, and records that. */
export async function changeJob<T extends JobRow | undefined>(
  { database, behalf }: { readonly database: Database; readonly behalf: Behalf },
  action: OperationId,
  jobId: string,
  change: (tx: Repositories, job: JobRow) => Promise<T>,
): Promise<T> {
  return await database.transaction(async (tx) => {
    const job = found(behalf.caller, jobId, await tx.jobs.lock(jobId));
    const changed = await change(tx, job);
    const states = changed === undefined || changed.state === job.state ? {} : { from: job.state, to: changed.state };
    const details = { name: job.name, ...states };
    await behalf.record(tx, action, { target: jobId, project: job.project, details });
    return changed;
  });
}
