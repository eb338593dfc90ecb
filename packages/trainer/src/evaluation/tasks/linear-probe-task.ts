import { CounterRandom } from '@clipyard/tensor';
import { fitLogistic, type LogisticModel } from '../probe/logistic-regression.js';
import { type ProbeData, type ProbeSet, testProbe } from '../probe/probe-data.js';
import { type StrengthScore, sweepStrength } from '../probe/strength-sweep.js';
import type { TaskContext, TaskOf, TaskOutcome } from './task.js';

/** The stream of random numbers that decides which samples the strength is chosen on. */
const VALIDATION_STREAM = 1;

/** CLIP's linear probe: the strength chosen on held-back samples, then a fit on all and the accuracy on data.eval. */
export async function linearProbeTask(
  { group, seed, signal }: TaskContext,
  task: TaskOf<'linear-probe'>,
  { train, test, shape, names }: ProbeData,
): Promise<TaskOutcome> {
  const random = new CounterRandom(seed, VALIDATION_STREAM);
  const isHeldBack = (row: number): boolean => random.uniformAt(train.share.indices[row]!) < task.validationFraction;
  const fitted = { ...train, rows: train.rows.filter((row) => !isHeldBack(row)) };
  const heldBack = train.rows.filter(isHeldBack);
  let model: LogisticModel | undefined;
  const { best, tried } = await sweepStrength(async (strength): Promise<StrengthScore> => {
    model = (await fitLogistic(group, fitted, shape, { strength, from: model, signal })).x;
    const tally = await testProbe(group, train, heldBack, shape, model, signal);
    return { accuracy: tally.values().top1 ?? 0, crossEntropy: tally.crossEntropy };
  });
  const last = await fitLogistic(group, train, shape, { strength: best.strength, from: model, signal });
  const tally = await testProbe(group, test, test.rows, shape, last.x, signal);
  return {
    values: { ...tally.values(), strength: best.strength },
    details: {
      samples: tally.count,
      trainSamples: await total(group, train, signal),
      features: shape.features,
      iterations: last.iterations,
      end: last.end,
      sweep: tried,
      classes: tally.named(names),
    },
  };
}

async function total(group: TaskContext['group'], { rows }: ProbeSet, signal: AbortSignal): Promise<number> {
  const count = Float64Array.of(rows.length);
  await group.allReduce(count, 'sum', { signal });
  return count[0]!;
}
