import { type Duration, type SweepSpec, sweepError } from '@clipyard/contracts';

const unitOf = (duration: Duration): 'steps' | 'epochs' | 'samples' =>
  'steps' in duration ? 'steps' : 'epochs' in duration ? 'epochs' : 'samples';

const lengthOf = (duration: Duration): number => Object.values(duration)[0] as number;

/**
 * The budget of each rung: `first`, `eta` times as much, and so on while the next but one still fits, then all of it. So
 * the last step is by `eta` to `eta`² and the first rung is exactly what was asked for, such as one epoch. Throws
 * `sweep_invalid`.
 */
export function rungBudgets(duration: Duration, halving: SweepSpec['halving']): readonly Duration[] {
  if (halving === null) return [duration];
  const { first, eta } = halving;
  const [unit, whole] = [unitOf(duration), lengthOf(duration)];
  if (unitOf(first) !== unit)
    throw sweepError('halving.first', `is not in ${unit} as the duration is`, first, `Give it as { ${unit}: … }.`);
  if (lengthOf(first) * eta > whole)
    throw sweepError(
      'halving.first',
      `leaves no room for a second rung: ${eta} times as much is more than all of ${whole} ${unit}`,
      first,
      'Make it, or eta, smaller, or the duration longer.',
    );
  const budgets: Duration[] = [];
  for (let budget = lengthOf(first); budget * eta <= whole; budget *= eta) budgets.push({ [unit]: budget } as Duration);
  return [...budgets, duration];
}
