import { fieldError } from '@clipyard/contracts';
import type { JobRow } from '@clipyard/db';

/** Throws `job_not_found` when there is none. */
export function found(jobId: string, job: JobRow | null): JobRow {
  if (job === null) {
    throw fieldError('job_not_found', {
      path: 'id',
      message: 'is not the id of a job',
      value: jobId,
      remedy: 'List the jobs with `clipyard ps` or GET /v1/jobs.',
    });
  }
  return job;
}
