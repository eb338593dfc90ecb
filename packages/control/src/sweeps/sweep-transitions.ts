import { SWEEP_TRANSITIONS, type SweepState, TRIAL_TRANSITIONS, type TrialState } from '@clipyard/contracts';
import type { Repositories, SweepRow, TrialRow } from '@clipyard/db';
import { assertTransition } from '../state-machine.js';

/** The only places where the state of a sweep or trial changes. The caller holds the lock of the sweep's row. */

export async function moveSweep(
  tx: Repositories,
  sweep: SweepRow,
  to: SweepState,
  changes: { reason?: string; finishedAt?: Date } = {},
): Promise<SweepRow> {
  assertTransition('sweep', SWEEP_TRANSITIONS, sweep.state as SweepState, to);
  return await tx.sweeps.update(sweep.id, { reason: null, ...changes, state: to });
}

export async function moveTrial(
  tx: Repositories,
  trial: TrialRow,
  to: TrialState,
  changes: Omit<Parameters<Repositories['sweeps']['updateTrial']>[2], 'state'>,
): Promise<TrialRow> {
  assertTransition('trial', TRIAL_TRANSITIONS, trial.state as TrialState, to);
  return await tx.sweeps.updateTrial(trial.sweepId, trial.index, { ...changes, state: to });
}
