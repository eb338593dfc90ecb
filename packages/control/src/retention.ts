import type { RunSpec } from '@clipyard/contracts';

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
