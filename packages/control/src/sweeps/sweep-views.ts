import {
  type JobState,
  type RunSpec,
  type Sweep,
  type SweepSpec,
  type SweepState,
  TRIAL_STATES,
  type Trial,
  type TrialState,
} from '@clipyard/contracts';
import type { SweepRow, TrialRow } from '@clipyard/db';
import { bestTrial } from './promotion.js';
import { rungBudgets } from './rungs.js';
import { standingOf } from './standing.js';

/** Rows of the database as resources of the API. */

export function sweepView(row: SweepRow, trials: readonly TrialRow[]): Sweep {
  const spec = row.spec as unknown as SweepSpec;
  const best = bestTrial(trials.map(standingOf), spec.objective.goal);
  const { jobId, values } = best === undefined ? { jobId: null, values: {} } : trials[best.index]!;
  const counts = TRIAL_STATES.map((state) => [state, trials.filter((trial) => trial.state === state).length] as const);
  return {
    id: row.id,
    name: row.name,
    project: row.project,
    state: row.state as SweepState,
    reason: row.reason,
    spec,
    rungs: spec.halving === null ? [] : [...rungBudgets((spec.base as unknown as RunSpec).duration, spec.halving)],
    trials: Object.fromEntries(counts.filter(([, count]) => count > 0)),
    best:
      best === undefined
        ? null
        : {
            index: best.index,
            jobId: jobId!,
            objective: best.results.at(-1)!.objective,
            values: values as Record<string, unknown>,
          },
    createdAt: row.createdAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
  };
}

export function trialView(row: TrialRow, sweep: SweepRow): Trial {
  const { objective } = sweep.spec as unknown as SweepSpec;
  const { results } = standingOf(row);
  const latest = (row.job?.latest ?? {}) as Readonly<Record<string, number>>;
  return {
    index: row.index,
    state: row.state as TrialState,
    reason: row.reason,
    values: row.values as Record<string, unknown>,
    jobId: row.jobId,
    jobState: (row.job?.state ?? null) as JobState | null,
    step: row.job?.step ?? 0,
    totalSteps: row.job?.totalSteps ?? null,
    objective: results.at(-1)?.objective ?? null,
    current: latest[objective.metric] ?? null,
    results: [...results],
  };
}
