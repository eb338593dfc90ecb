/** The states of sweeps and their trials, and which moves are legal. Data: `control` enforces it. */

export const SWEEP_STATES = ['running', 'paused', 'succeeded', 'failed', 'cancelled'] as const;
export type SweepState = (typeof SWEEP_STATES)[number];

export const SWEEP_TRANSITIONS: Readonly<Record<SweepState, readonly SweepState[]>> = {
  running: ['paused', 'succeeded', 'failed', 'cancelled'],
  paused: ['running', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
};

export const TRIAL_STATES = [
  /** Has no job yet. */
  'waiting',
  /** Its job works towards the budget of a rung. */
  'running',
  /** Its job was paused together with the sweep. */
  'held',
  /** Has finished a rung; may be promoted to the next. */
  'resting',
  /** Has had the whole budget. */
  'succeeded',
  /** Was not promoted. */
  'stopped',
  /** Broke a constraint. */
  'infeasible',
  'failed',
  'cancelled',
] as const;
export type TrialState = (typeof TRIAL_STATES)[number];

export const TRIAL_TRANSITIONS: Readonly<Record<TrialState, readonly TrialState[]>> = {
  waiting: ['running', 'cancelled'],
  running: ['held', 'resting', 'succeeded', 'infeasible', 'failed', 'cancelled'],
  held: ['running', 'resting', 'succeeded', 'infeasible', 'failed', 'cancelled'],
  resting: ['running', 'stopped', 'succeeded', 'infeasible', 'failed', 'cancelled'],
  succeeded: [],
  stopped: [],
  infeasible: [],
  failed: [],
  cancelled: [],
};

export const TRIAL_OPEN_STATES: readonly TrialState[] = ['waiting', 'running', 'held', 'resting'];
export const isFinalSweepState = (state: SweepState): boolean => SWEEP_TRANSITIONS[state].length === 0;
