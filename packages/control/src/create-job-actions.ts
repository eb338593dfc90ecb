import type { Database } from '@clipyard/db';
import { newId } from '@clipyard/runtime';
import { assertSatisfiable } from './capacity.js';
import { pinCheckpoints } from './checkpoint-references.js';
import type { ControlPlane } from './control-plane.js';
import { createJob } from './create-job.js';
import { deleteJob } from './delete-job.js';
import { editJob } from './edit-job.js';
import { forkedSpec } from './fork-job.js';
import { found } from './found.js';
import { claimKey } from './idempotency.js';
import { retryJob } from './retry-job.js';
import { jobView } from './views.js';

type JobActions = Pick<ControlPlane, 'editJob' | 'retryJob' | 'forkJob' | 'deleteJob'>;

/** What is done with jobs that exist, each in one transaction under the lock of the job's row. */
export function createJobActions({ database }: { readonly database: Database }): JobActions {
  return {
    editJob: (jobId, patch, expected = () => {}) =>
      database.transaction(async (tx) => {
        const job = found(jobId, await tx.jobs.lock(jobId));
        expected(jobView(job));
        return jobView(await editJob(tx, job, patch));
      }),

    retryJob: (jobId) =>
      database.transaction(async (tx) => jobView(await retryJob(tx, found(jobId, await tx.jobs.lock(jobId))))),

    forkJob: (jobId, fork, { idempotencyKey, check = () => {} } = {}) =>
      database.transaction(async (tx) => {
        const id = newId('job');
        const request = { fork: jobId, ...fork };
        const known = idempotencyKey === undefined ? id : await claimKey(tx, idempotencyKey, request, id);
        if (known !== id) return { job: jobView((await tx.jobs.find(known))!), created: false };
        const spec = await forkedSpec(tx, found(jobId, await tx.jobs.lock(jobId)), fork);
        check(spec);
        await assertSatisfiable(tx, spec);
        const pinned = await pinCheckpoints(tx, spec);
        return { job: jobView(await createJob(tx, id, pinned, { resumesInit: fork.resume })), created: true };
      }),

    deleteJob: (jobId) => database.transaction(async (tx) => deleteJob(tx, found(jobId, await tx.jobs.lock(jobId)))),
  };
}
