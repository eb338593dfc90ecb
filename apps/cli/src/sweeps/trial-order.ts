import type { Sweep, Trial } from '@clipyard/contracts';

/** Trials as a table shows them: the best first, then those without a result, then those that failed or broke a constraint. */
export function inOrder(sweep: Sweep, trials: readonly Trial[]): Trial[] {
  const sign = sweep.spec.objective.goal === 'min' ? 1 : -1;
  const group = ({ state, results }: Trial): number =>
    state === 'failed' || state === 'infeasible' || state === 'cancelled' ? 2 : results.length === 0 ? 1 : 0;
  return [...trials].sort(
    (a, b) =>
      group(a) - group(b) ||
      (b.results.at(-1)?.rung ?? -1) - (a.results.at(-1)?.rung ?? -1) ||
      sign * ((a.objective ?? 0) - (b.objective ?? 0)) ||
      a.index - b.index,
  );
}
