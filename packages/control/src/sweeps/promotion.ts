import type { SweepSpec, TrialResult, TrialState } from '@clipyard/contracts';

/** What decides about a trial. */
export interface Standing {
  readonly index: number;
  readonly state: TrialState;
  /** Rungs finished. */
  readonly rung: number;
  readonly results: readonly TrialResult[];
}

type Objective = SweepSpec['objective'];

const resultAt = (trial: Standing, rung: number): TrialResult | undefined =>
  trial.results.find((result) => result.rung === rung);

/** Best first; of equals the one of lower index. */
function ranked(trials: readonly Standing[], rung: number, goal: Objective['goal']): Standing[] {
  const sign = goal === 'min' ? 1 : -1;
  const value = (trial: Standing): number => resultAt(trial, rung)!.objective;
  return trials
    .filter((trial) => resultAt(trial, rung) !== undefined)
    .sort((a, b) => sign * (value(a) - value(b)) || a.index - b.index);
}

const isFeasible = ({ state }: Standing): boolean =>
  state !== 'failed' && state !== 'infeasible' && state !== 'cancelled';

/**
 * The trial to promote next, by ASHA (Li et al., arXiv 1810.05934, algorithm 2): from the highest rung down the first
 * that is among the best 1/eta of those that finished the rung and rests there. Trials that failed or broke a constraint
 * in a rung count as its worst; cancelled ones do not count.
 */
export function nextPromotion(
  trials: readonly Standing[],
  { goal, eta, rungs }: { goal: Objective['goal']; eta: number; rungs: number },
): Standing | undefined {
  for (let rung = rungs - 2; rung >= 0; rung--) {
    const worst = trials.filter(
      ({ state, results, rung: at }) =>
        (state === 'infeasible' || state === 'failed') &&
        (results.some((result) => result.rung === rung) || (state === 'failed' && at === rung)),
    );
    const finished = ranked(trials.filter(isFeasible), rung, goal);
    const best = finished.slice(0, Math.floor((finished.length + worst.length) / eta));
    const found = best.find((trial) => trial.state === 'resting' && trial.rung === rung + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The best so far: of the trials that got furthest the one with the best objective. */
export function bestTrial(trials: readonly Standing[], goal: Objective['goal']): Standing | undefined {
  const feasible = trials.filter((trial) => isFeasible(trial) && trial.results.length > 0);
  const furthest = Math.max(...feasible.map((trial) => trial.results.at(-1)!.rung));
  return ranked(feasible, furthest, goal)[0];
}
