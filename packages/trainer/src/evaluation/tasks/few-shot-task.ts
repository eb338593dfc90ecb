import type { Group } from '@clipyard/contracts';
import { CounterRandom } from '@clipyard/tensor';
import { gatherRows } from '../gather-rows.js';
import { fitLogistic } from '../probe/logistic-regression.js';
import { type ProbeData, type ProbeSet, testProbe } from '../probe/probe-data.js';
import type { TaskContext, TaskOf, TaskOutcome } from './task.js';

/** Streams of random numbers, one a draw, begin here. */
const FIRST_STREAM = 1000;

/** Accuracy of logistic regression on k samples of each class, mean and spread over draws. */
export async function fewShotTask(
  { group, seed, signal }: TaskContext,
  task: TaskOf<'few-shot'>,
  { train, test, shape, names }: ProbeData,
): Promise<TaskOutcome> {
  const values: Record<string, number> = {};
  const short = new Set<number>();
  const accuracies = task.shots.map((): number[] => []);
  for (let draw = 0; draw < task.draws; draw++) {
    const order = await drawnOrder(group, train, new CounterRandom(seed, FIRST_STREAM + draw), signal);
    for (const [i, shots] of task.shots.entries()) {
      const chosen = new Set<number>();
      order.forEach((members, label) => {
        for (const index of members.slice(0, shots)) chosen.add(index);
        if (members.length < shots) short.add(label);
      });
      const rows = train.rows.filter((row) => chosen.has(train.share.indices[row]!));
      const { x } = await fitLogistic(group, { ...train, rows }, shape, { strength: task.strength, signal });
      const tally = await testProbe(group, test, test.rows, shape, x, signal);
      accuracies[i]!.push(tally.values().top1!);
    }
  }
  task.shots.forEach((shots, i) => {
    const found = accuracies[i]!;
    const mean = found.reduce((a, b) => a + b, 0) / found.length;
    values[`shots_${shots}`] = mean;
    if (found.length < 2) return;
    const squares = found.reduce((sum, accuracy) => sum + (accuracy - mean) ** 2, 0);
    values[`shots_${shots}_std`] = Math.sqrt(squares / (found.length - 1));
  });
  return {
    values,
    details: {
      draws: task.draws,
      /** Classes with fewer samples than the most shots, of which all were used. */
      shortClasses: [...short].map((label) => names?.[label] ?? label),
    },
  };
}

/**
 * The samples of each class, by index in their data set, in a random order that does not depend on the ranks: the first k
 * are a draw of k, so that more shots add to fewer.
 */
async function drawnOrder(
  group: Group,
  { share, labels, rows }: ProbeSet,
  random: CounterRandom,
  signal: AbortSignal,
): Promise<Map<number, number[]>> {
  const own = Int32Array.from([...rows].flatMap((row) => [share.indices[row]!, labels[row]!]));
  const { rows: all } = await gatherRows(group, own, 2, signal);
  const members = new Map<number, number[]>();
  for (let i = 0; i < all.length; i += 2) {
    const ofClass = members.get(all[i + 1]!) ?? [];
    ofClass.push(all[i]!);
    members.set(all[i + 1]!, ofClass);
  }
  for (const indices of members.values()) indices.sort((a, b) => random.uint32At(a) - random.uint32At(b) || a - b);
  return members;
}
