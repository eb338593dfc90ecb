import { ALARMS, type Alarm, type AlarmCode } from '@clipyard/contracts';
import { RULES, type Sight } from './rules.js';

/** What is kept of a run with its job, from report to report. */
export interface AlarmMemory {
  readonly active: readonly Alarm[];
  /** Findings in a row by code: so many bad ones, or less than 0: good ones. */
  readonly inARow: Readonly<Partial<Record<AlarmCode, number>>>;
  /** Reports so far, and means of them in which the recent ones weigh more. */
  readonly reports: number;
  readonly loss: number;
  readonly gradientNorm: number;
}

export interface AlarmChange extends Alarm {
  readonly state: 'raised' | 'cleared';
  /** Of the report that changed it. */
  readonly step: number;
}

/** Weight of a report in the means, and reports before they count. */
const WEIGHT = 0.05;
const FIRST_REPORTS = 10;

const NOTHING: AlarmMemory = { active: [], inARow: {}, reports: 0, loss: 0, gradientNorm: 0 };

/** The memory as it was stored; that of a job without one is empty. */
export const alarmMemory = (stored: unknown): AlarmMemory => ({ ...NOTHING, ...(stored as Partial<AlarmMemory>) });

/** Takes one more report of rank 0 into account. Each alarm has to be found several times in a row to be raised, or cleared. */
export function judge(
  before: AlarmMemory,
  report: Omit<Sight, 'usual'>,
): { memory: AlarmMemory; changes: readonly AlarmChange[] } {
  const { loss, gradientNorm } = before;
  const sight: Sight = { ...report, usual: before.reports < FIRST_REPORTS ? undefined : { loss, gradientNorm } };
  const active = new Map(before.active.map((alarm) => [alarm.code, alarm]));
  const inARow = { ...before.inARow };
  const changes: AlarmChange[] = [];
  for (const rule of RULES) {
    const found = rule.look(sight);
    if (found === undefined) continue;
    const { code } = rule;
    const sofar = inARow[code] ?? 0;
    const row =
      found.verdict === 'bad' ? Math.max(sofar, 0) + 1 : found.verdict === 'good' ? Math.min(sofar, 0) - 1 : 0;
    inARow[code] = row;
    const alarm = active.get(code);
    if (alarm === undefined && row >= rule.raiseAfter) {
      const { severity, remedy } = ALARMS[code];
      const raised: Alarm = { code, severity, sinceStep: report.step, message: found.message, remedy };
      active.set(code, raised);
      changes.push({ ...raised, state: 'raised', step: report.step });
    } else if (alarm !== undefined && -row >= rule.clearAfter) {
      active.delete(code);
      changes.push({ ...alarm, state: 'cleared', step: report.step });
    }
  }
  return { memory: { ...remember(before, report.values), active: [...active.values()], inARow }, changes };
}

/** A run that ended since a loss or gradient was not finite. */
export function judgeDivergence(
  before: AlarmMemory,
  step: number,
  message: string,
): { memory: AlarmMemory; changes: readonly AlarmChange[] } {
  if (before.active.some(({ code }) => code === 'learning_rate')) return { memory: before, changes: [] };
  const { severity, remedy } = ALARMS.learning_rate;
  const raised: Alarm = { code: 'learning_rate', severity, sinceStep: step, message, remedy };
  return {
    memory: { ...before, active: [...before.active, raised] },
    changes: [{ ...raised, state: 'raised', step }],
  };
}

function remember(before: AlarmMemory, values: Sight['values']): AlarmMemory {
  const { loss, grad_norm: norm } = values;
  if (loss === undefined || norm === undefined) return before;
  const reports = before.reports + 1;
  // The plain mean at first; then an outlier counts as twice the mean, or it would soon be usual.
  const weight = Math.max(WEIGHT, 1 / reports);
  const counted = (value: number, mean: number): number =>
    reports <= FIRST_REPORTS ? value : Math.min(value, 2 * mean);
  return {
    ...before,
    reports,
    loss: before.loss + weight * (counted(loss, before.loss) - before.loss),
    gradientNorm: before.gradientNorm + weight * (counted(norm, before.gradientNorm) - before.gradientNorm),
  };
}
