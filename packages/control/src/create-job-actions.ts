import type { Database } from '@clipyard/db';
import { newId } from '@clipyard/runtime';
import type { Behalf } from './access/behalf.js';
import { cancelJob } from './cancel-job.js';
import { assertSatisfiable } from './capacity.js';
import { changeJob } from './change-job.js';
import { pinCheckpoints } from './checkpoint-references.js';
import type { ControlPlane } from './control-plane.js';
import { createJob } from './create-job.js';
import { deleteJob } from './delete-job.js';
import { editJob } from './edit-job.js';
import { forkedSpec } from './fork-job.js';
import { found } from './found.js';
import { claimKey } from './idempotency.js';
import { pauseJob, resumeJob } from './pause.js';
import { retryJob } from './retry-job.js';
import { jobView } from './views.js';

type JobActions = Pick<
  ControlPlane,
  'editJob' | 'cancelJob' | 'pauseJob' | 'resumeJob' | 'retryJob' | 'forkJob' | 'deleteJob'
>;

export interface JobActionDeps {
  readonly database: Database;
  readonly behalf: Behalf;
}

/** What is done with jobs that exist, each in one transaction under the lock of the job's row, and on record. */
export function createJobActions(deps: JobActionDeps): JobActions {
  const { database, behalf } = deps;
  const { caller } = behalf;
  return {
    editJob: async (jobId, patch, expected = () => {}) =>
      jobView(
        await changeJob(deps, 'editJob', jobId, async (tx, job) => {
          expected(jobView(job));
          return await editJob(tx, job, patch);
        }),
      ),

    cancelJob: async (jobId) =>
      jobView(await changeJob(deps, 'cancelJob', jobId, (tx, job) => cancelJob(tx, job, 'cancelled by request'))),
    pauseJob: async (jobId) => jobView(await changeJob(deps, 'pauseJob', jobId, (tx, job) => pauseJob(tx, job))),
    resumeJob: async (jobId) => jobView(await changeJob(deps, 'resumeJob', jobId, (tx, job) => resumeJob(tx, job))),
    retryJob: async (jobId) => jobView(await changeJob(deps, 'retryJob', jobId, retryJob)),

    forkJob: (jobId, fork, { idempotencyKey, check = () => {} } = {}) =>
      database.transaction(async (tx) => {
        const job = found(caller, jobId, await tx.jobs.lock(jobId));
        const { project } = job;
        const id = newId('job');
        const request = { fork: jobId, ...fork };
        const known =
          idempotencyKey === undefined ? id : await claimKey(tx, { project, key: idempotencyKey }, request, id);
        if (known !== id) {
          behalf.changesNothing();
          return { job: jobView((await tx.jobs.find(known))!), created: false };
        }
        const spec = await forkedSpec(tx, job, fork);
        check(spec);
        await assertSatisfiable(tx, spec);
        const pinned = await pinCheckpoints(tx, spec, caller);
        const forked = await createJob(tx, id, pinned, { project, resumesInit: fork.resume });
        await behalf.record(tx, 'forkJob', { target: id, project, details: { name: forked.name, of: jobId } });
        return { job: jobView(forked), created: true };
      }),

    deleteJob: (jobId) =>
      changeJob(deps, 'deleteJob', jobId, async (tx, job) => {
        await deleteJob(tx, job);
        return undefined;
      }),
  };
}
