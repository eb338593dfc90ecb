import { fieldError } from '@clipyard/contracts';
import type { JobRow } from '@clipyard/db';
import { type Caller, sees } from './access/caller.js';

/** Throws `job_not_found` when there is none that the caller sees. */
export function found(caller: Caller, jobId: string, job: JobRow | null): JobRow {
  if (job !== null && sees(caller, job.project)) return job;
  throw fieldError('job_not_found', {
    path: 'id',
    message: 'is not the id of a job',
    value: jobId,
    remedy: 'List the jobs with `clipyard ps` or GET /v1/jobs.',
  });
}
