import { evaluationSections, isFinalJobState, type JobState, type RunSpec, type TaskResult } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { newId } from '@clipyard/runtime';
import { createJob } from './create-job.js';

/**
 * Evaluations of a run by jobs of their own (`evaluate.mode: separate`): queued in the transaction that records the
 * checkpoint, which they keep until the run has their results. The caller holds the lock of the run's row.
 */

/** Queues the evaluation of a checkpoint that was recorded, if the run wants one at this step and none is on its way. */
export async function queueEvaluation(tx: Repositories, run: JobRow, step: number): Promise<void> {
  const spec = run.spec as unknown as RunSpec;
  if (!isDue(spec, step, run.totalSteps) || isFinalJobState(run.state as JobState)) return;
  const init = `job:${run.id}@${step}`;
  const queued = await tx.jobs.unsettledEvaluations(run.id);
  if (queued.some((evaluation) => specOf(evaluation).model.init === init)) return;
  const { model, resources, ...sections } = evaluationSections(spec);
  const job: RunSpec = {
    ...spec,
    ...sections,
    type: 'evaluate',
    name: `evaluate-${spec.name}`.slice(0, 100),
    labels: { evaluates: run.id },
    model: { ...model, init },
    // Any free slot will do: it waits for nothing more.
    resources: { ...resources, world: { min: 1, max: resources.world.max } },
  };
  await createJob(tx, newId('job'), job, { project: run.project, evaluates: run.id });
}

function isDue({ type, evaluate }: RunSpec, step: number, totalSteps: number | null): boolean {
  if (type !== 'train' || evaluate.mode !== 'separate' || evaluate.tasks.length === 0) return false;
  return step === totalSteps || (evaluate.everySteps !== null && step % evaluate.everySteps === 0);
}

const specOf = (job: JobRow): RunSpec => job.spec as unknown as RunSpec;

interface Found {
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
  readonly results: readonly TaskResult[];
  readonly samples: readonly unknown[];
}

/** Gives a run what an evaluation of it that has ended has found: its metrics, an event, and those of the checkpoint. */
export async function handOver(tx: Repositories, run: JobRow, evaluation: JobRow): Promise<void> {
  const [event] = evaluation.state === 'succeeded' ? await tx.events.newest(evaluation.id, 'evaluation', 1) : [];
  if (event === undefined) return await warn(tx, run, evaluation);
  const { step, values, results, samples } = event.data as unknown as Found;
  const names = Object.keys(values);
  // A later step's evaluation may have been faster.
  const isNewest = (await tx.metrics.newestStep(run.id, names)) <= step;
  const checkpoint = await tx.checkpoints.findStep(run.id, step);
  const epoch = checkpoint?.epoch ?? run.epoch;
  const at = Date.now();
  await tx.metrics.record(
    run.id,
    epoch,
    names.map((name) => ({ name, step, value: values[name]!, at })),
  );
  if (isNewest) await tx.jobs.update(run.id, { latest: { ...(run.latest as Found['values']), ...values } });
  if (checkpoint !== null)
    await tx.checkpoints.setMetrics(checkpoint.id, { ...(checkpoint.metrics as Found['values']), ...values });
  const final = step === run.totalSteps;
  const data = { step, final, values, results, samples: final ? samples : [], job: evaluation.id };
  await tx.events.append({ jobId: run.id, type: 'evaluation', epoch, data });
}

async function warn(tx: Repositories, run: JobRow, evaluation: JobRow): Promise<void> {
  if (run.state === 'cancelled') return;
  const { id, state, reason } = evaluation;
  const step = specOf(evaluation).model.init!.split('@')[1];
  const message = `The evaluation of step ${step}, ${id}, ${state}${reason === null ? '' : `: ${reason}`}`;
  await tx.events.append({ jobId: run.id, type: 'warning', epoch: run.epoch, data: { message } });
}
