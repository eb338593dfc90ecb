import type { Sweep, Trial } from '@clipyard/contracts';
import { formatAge, formatNumber } from '../output/format.js';
import { formatPairs, formatTable } from '../output/table.js';
import { inOrder } from './trial-order.js';
import { choiceText } from './value-text.js';

/** Trials by state, as in `1 running, 5 succeeded`. */
export function countsText({ trials }: Sweep): string {
  return Object.entries(trials)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ');
}

export function bestText(sweep: Sweep): string {
  const { best, spec } = sweep;
  if (best === null) return 'none yet';
  const values = Object.entries(best.values).map(([path, value]) => `${path}=${choiceText(sweep, path, value)}`);
  return `trial ${best.index}: ${spec.objective.metric} ${formatNumber(best.objective)} with ${values.join(' ')}`;
}

/** One sweep with all its trials. */
export function sweepLines(sweep: Sweep, trials: readonly Trial[]): string[] {
  const { metric, goal } = sweep.spec.objective;
  const rungs = sweep.rungs
    .map((budget) => Object.entries(budget).map(([unit, length]) => `${length} ${unit}`))
    .join(', ');
  const pairs: [string, string][] = [
    ['sweep', `${sweep.id} ${sweep.name}`],
    ['state', `${sweep.state}${sweep.reason === null ? '' : `: ${sweep.reason}`}`],
    ['trials', countsText(sweep)],
    ['objective', `${goal === 'min' ? 'least' : 'largest'} ${metric}`],
    ...(rungs === '' ? [] : [['rungs', rungs] as [string, string]]),
    ...(sweep.spec.constraints.length === 0
      ? []
      : [['constraints', sweep.spec.constraints.join(', ')] as [string, string]]),
    ['best', bestText(sweep)],
  ];
  const paths = Object.keys(sweep.spec.parameters);
  const rows = inOrder(sweep, trials).map((trial) => [
    String(trial.index),
    trial.state,
    ...paths.map((path) => choiceText(sweep, path, trial.values[path])),
    `${trial.step}/${trial.totalSteps ?? '-'}`,
    ...(rungs === '' ? [] : [`${trial.results.length}/${sweep.rungs.length}`]),
    trial.objective === null ? '-' : formatNumber(trial.objective),
    trial.current === null ? '-' : formatNumber(trial.current),
    trial.jobId ?? '-',
    trial.reason ?? '',
  ]);
  const heading = ['TRIAL', 'STATE', ...paths, 'STEP', ...(rungs === '' ? [] : ['RUNGS']), metric, 'NOW', 'JOB', ''];
  return [...formatPairs(pairs), '', ...formatTable(heading, rows)];
}

/** Many sweeps, a line each. */
export function sweepListLines(sweeps: readonly Sweep[]): string[] {
  const rows = sweeps.map((sweep) => [
    sweep.id,
    sweep.name,
    sweep.state,
    countsText(sweep),
    sweep.spec.objective.metric,
    sweep.best === null ? '-' : formatNumber(sweep.best.objective),
    formatAge(sweep.createdAt),
  ]);
  return formatTable(['SWEEP', 'NAME', 'STATE', 'TRIALS', 'OBJECTIVE', 'BEST', 'AGE'], rows);
}
