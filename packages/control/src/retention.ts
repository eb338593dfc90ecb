import type { RunSpec } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';
import { neededSteps } from './checkpoint-references.js';

export interface Kept {
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * The checkpoints that are no longer kept: all but the `keepLast` newest and, besides, the `keepBest` best by `bestBy`
 * among all that have that metric. Lower is better for losses, higher for everything else; of equals the newer is kept.
 */
export function droppedCheckpoints<T extends Kept>(checkpoints: readonly T[], rules: RunSpec['checkpoint']): T[] {
  const newest = [...checkpoints].sort((a, b) => b.step - a.step);
  const sign = rules.bestBy.includes('loss') ? 1 : -1;
  const value = (checkpoint: T): number => checkpoint.metrics[rules.bestBy]!;
  const best = newest
    .filter((checkpoint) => checkpoint.metrics[rules.bestBy] !== undefined)
    .sort((a, b) => sign * (value(a) - value(b)));
  const kept = new Set([...newest.slice(0, rules.keepLast), ...best.slice(0, rules.keepBest)]);
  return newest.filter((checkpoint) => !kept.has(checkpoint));
}

export interface DroppedCheckpoint {
  readonly step: number;
  readonly prefix: string;
}

/**
 * Tracks no more the checkpoints that the rules of their job let go and nobody needs; returns them, whose files are to be
 * removed. The caller holds the lock of the job's row.
 */
export async function dropCheckpoints(tx: Repositories, job: JobRow): Promise<readonly DroppedCheckpoint[]> {
  const tracked = (await tx.checkpoints.list(job.id)).map(({ id, step, prefix, metrics }) => ({
    id,
    step,
    prefix,
    metrics: metrics as Kept['metrics'],
  }));
  const needed = await neededSteps(tx, job.id);
  const dropped = droppedCheckpoints(tracked, (job.spec as unknown as RunSpec).checkpoint).filter(
    ({ step }) => !needed.has(step),
  );
  await tx.checkpoints.remove(dropped.map(({ id }) => id));
  return dropped.map(({ step, prefix }) => ({ step, prefix }));
}
