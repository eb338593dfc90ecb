import { type ClipyardError, fieldError, type RankStart, type RunSpec } from '@clipyard/contracts';
import type { Repositories } from '@clipyard/db';
import { type Caller, sees } from './access/caller.js';

/** Where it names a checkpoint of another job: `job:<id>` or `job:<id>@<step>`. */
const JOB = /^job:([\w-]+?)(?:@(\d+))?$/;

interface Reference {
  /** Where ranks find the checkpoint. */
  readonly name: 'init' | 'teacher';
  readonly field: string;
  of(spec: RunSpec): string | undefined;
  with(spec: RunSpec, value: string): RunSpec;
}

const distillOf = ({ loss }: RunSpec) => (loss.type === 'clip' ? loss.distill : undefined);

/** What in a spec may name a checkpoint. */
const REFERENCES: readonly Reference[] = [
  {
    name: 'init',
    field: 'model.init',
    of: (spec) => spec.model.init,
    with: (spec, init) => ({ ...spec, model: { ...spec.model, init } }),
  },
  {
    name: 'teacher',
    field: 'loss.distill.from',
    of: (spec) => distillOf(spec)?.from,
    with: (spec, from) => ({
      ...spec,
      loss: { ...spec.loss, distill: { ...distillOf(spec), from } } as RunSpec['loss'],
    }),
  },
];

/**
 * The spec with the steps of the checkpoints it refers to written out, so that it means the same whenever the job starts.
 * The other jobs stay locked: retention cannot remove a checkpoint before this job is on record. Throws
 * `spec_invalid` for a job or a checkpoint that there is not, or that the caller does not see.
 */
export async function pinCheckpoints(tx: Repositories, spec: RunSpec, caller: Caller): Promise<RunSpec> {
  let pinned = spec;
  for (const reference of REFERENCES) {
    const value = reference.of(spec);
    const [, jobId, step] = value?.match(JOB) ?? [];
    if (value === undefined || jobId === undefined) continue;
    const refused = (message: string, remedy: string): ClipyardError =>
      fieldError('spec_invalid', { path: reference.field, message, value, remedy });
    const job = await tx.jobs.lock(jobId);
    if (job === null || !sees(caller, job.project))
      throw refused('names no job', 'List the jobs with `clipyard ps` or GET /v1/jobs.');
    const steps = (await tx.checkpoints.list(jobId)).map((checkpoint) => checkpoint.step);
    if (steps.length === 0) throw refused('names a job without a checkpoint', 'Wait until it has written one.');
    if (step !== undefined && !steps.includes(Number(step)))
      throw refused('names a step of which there is no checkpoint', `It has: ${steps.join(', ')}.`);
    pinned = reference.with(pinned, `job:${jobId}@${step ?? steps[0]}`);
  }
  return pinned;
}

/** The checkpoints that a stored spec refers to; without those that are gone. */
export async function referredCheckpoints(
  db: Repositories,
  spec: RunSpec,
): Promise<Pick<RankStart, Reference['name']>> {
  const found: { -readonly [Name in Reference['name']]?: NonNullable<RankStart[Name]> } = {};
  for (const { name, of } of REFERENCES) {
    const [, jobId, step] = of(spec)?.match(JOB) ?? [];
    if (jobId === undefined) continue;
    const row = (await db.checkpoints.list(jobId)).find((checkpoint) => checkpoint.step === Number(step));
    if (row !== undefined) found[name] = { step: row.step, prefix: row.prefix, manifestSha256: row.manifestSha256 };
  }
  return found;
}

/**
 * The field that names a checkpoint of another job which is gone, if one does; `model.init` may do so where the job has
 * weights of its own. The other jobs stay locked, as in `pinCheckpoints`.
 */
export async function unavailableReference(
  tx: Repositories,
  spec: RunSpec,
  { weightsKept }: { readonly weightsKept: boolean },
): Promise<string | undefined> {
  for (const { name, field, of } of REFERENCES) {
    const [, jobId, step] = of(spec)?.match(JOB) ?? [];
    if (jobId === undefined || (name === 'init' && weightsKept)) continue;
    await tx.jobs.lock(jobId);
    if ((await tx.checkpoints.findStep(jobId, Number(step))) === null) return field;
  }
  return undefined;
}

/** The jobs whose checkpoints a stored spec refers to. */
export function referredJobs(spec: RunSpec): string[] {
  return REFERENCES.flatMap(({ of }) => of(spec)?.match(JOB)?.[1] ?? []);
}

/** Steps of a job's checkpoints that jobs which are not settled refer to. */
export async function neededSteps(tx: Repositories, jobId: string): Promise<ReadonlySet<number>> {
  const specs = await tx.jobs.unsettledReferringTo(`job:${jobId}@`);
  const references = specs.flatMap((spec) => REFERENCES.map(({ of }) => of(spec)?.match(JOB)));
  return new Set(references.filter((match) => match?.[1] === jobId).map((match) => Number(match![2])));
}
