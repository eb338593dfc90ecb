import { type Fork, fieldError, parseRunSpec, type RunSpec } from '@clipyard/contracts';
import type { CheckpointRow, JobRow, Repositories } from '@clipyard/db';
import { setField } from './set-field.js';

/** Longest name of a run. */
const NAME_CHARS = 100;

/** The spec of a job's fork. The caller holds the lock of the job's row. Throws what `parseRunSpec` does, `request_invalid` and `job_state_conflict`. */
export async function forkedSpec(tx: Repositories, job: JobRow, fork: Fork): Promise<RunSpec> {
  const { step } = await chosenCheckpoint(tx, job, fork);
  const spec = structuredClone(job.spec) as Record<string, unknown> & Pick<RunSpec, 'model'>;
  const suffix = '-fork';
  Object.assign(spec, {
    name: `${job.name.slice(0, NAME_CHARS - suffix.length)}${suffix}`,
    labels: job.labels,
    model: { ...spec.model, init: `job:${job.id}@${step}` },
  });
  for (const [path, value] of Object.entries(fork.set)) {
    if (path === 'model.init' || path === 'model')
      throw refused(`set.${path}`, 'is set by the fork itself', value, 'Submit a new job instead.');
    const outer = setField(spec, path, value ?? undefined);
    if (outer !== undefined)
      throw refused(`set.${path}`, `${outer.path} has no fields in the spec`, outer.value, 'Correct the path.');
  }
  return parseRunSpec(spec);
}

async function chosenCheckpoint(tx: Repositories, job: JobRow, fork: Fork): Promise<CheckpointRow> {
  const checkpoints = await tx.checkpoints.list(job.id);
  const [newest] = checkpoints;
  if (newest === undefined) {
    throw fieldError('job_state_conflict', {
      path: 'id',
      message: 'the job has no checkpoint yet',
      value: job.state,
      remedy: 'Wait until it has written one, or submit its spec anew.',
    });
  }
  const { checkpoint: id, step } = fork;
  if (id === undefined && step === undefined) return newest;
  const found = checkpoints.find((row) => (id === undefined ? row.step === step : row.id === id));
  if (found !== undefined) return found;
  const [path, value] = id === undefined ? ['step', step] : ['checkpoint', id];
  const has = checkpoints.map((row) => (id === undefined ? row.step : row.id)).join(', ');
  throw refused(path, 'is not that of a checkpoint of this job', value, `It has: ${has}.`);
}

const refused = (path: string, message: string, value: unknown, remedy: string) =>
  fieldError('request_invalid', { path, message, value, remedy });
