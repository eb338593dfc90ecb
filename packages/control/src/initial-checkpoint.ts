import { type ClipyardError, fieldError, type RankStart, type RunSpec } from '@clipyard/contracts';
import type { Repositories } from '@clipyard/db';

/** `model.init` where it names a checkpoint of another job: `job:<id>` or `job:<id>@<step>`. */
const JOB_INIT = /^job:([\w-]+?)(?:@(\d+))?$/;

const FIELD = 'model.init';

/**
 * The spec with the step of the checkpoint it starts from written out, so that it means the same whenever the job starts.
 * The other job stays locked: retention cannot remove the checkpoint before this job is on record. Throws
 * `spec_invalid` for a job or a checkpoint that there is not.
 */
export async function pinInitialCheckpoint(tx: Repositories, spec: RunSpec): Promise<RunSpec> {
  const value = spec.model.init;
  const [, jobId, step] = value?.match(JOB_INIT) ?? [];
  if (value === undefined || jobId === undefined) return spec;
  if ((await tx.jobs.lock(jobId)) === null)
    throw refused(value, 'names no job', 'List the jobs with `clipyard ps` or GET /v1/jobs.');
  const steps = (await tx.checkpoints.list(jobId)).map((checkpoint) => checkpoint.step);
  const list = `It has: ${steps.join(', ')}.`;
  if (steps.length === 0) throw refused(value, 'names a job without a checkpoint', 'Wait until it has written one.');
  if (step !== undefined && !steps.includes(Number(step)))
    throw refused(value, `names a step of which there is no checkpoint`, list);
  return { ...spec, model: { ...spec.model, init: `job:${jobId}@${step ?? steps[0]}` } };
}

/** The checkpoint that a stored spec starts from; undefined: none, or it is gone. */
export async function initialCheckpoint(db: Repositories, spec: RunSpec): Promise<RankStart['init']> {
  const [, jobId, step] = spec.model.init?.match(JOB_INIT) ?? [];
  if (jobId === undefined) return undefined;
  const found = (await db.checkpoints.list(jobId)).find((checkpoint) => checkpoint.step === Number(step));
  return found && { step: found.step, prefix: found.prefix, manifestSha256: found.manifestSha256 };
}

/** Steps of a job's checkpoints that jobs which have not ended start from. */
export async function neededSteps(tx: Repositories, jobId: string): Promise<ReadonlySet<number>> {
  const specs = await tx.jobs.unfinishedStartingFrom(`job:${jobId}@`);
  return new Set(specs.map((spec) => Number(spec.model.init!.match(JOB_INIT)![2])));
}

function refused(value: string, message: string, remedy: string): ClipyardError {
  return fieldError('spec_invalid', { path: FIELD, message, value, remedy });
}
