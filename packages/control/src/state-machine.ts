import {
  ATTEMPT_TRANSITIONS,
  type AttemptState,
  fieldError,
  JOB_TRANSITIONS,
  type JobState,
  RANK_TRANSITIONS,
  type RankState,
} from '@clipyard/contracts';

/** Throws `job_state_conflict` unless a job may move from one state to the other. */
export function assertJobTransition(from: JobState, to: JobState): void {
  assertTransition('job', JOB_TRANSITIONS, from, to);
}

/** Throws `job_state_conflict` unless an attempt may move from one state to the other. */
export function assertAttemptTransition(from: AttemptState, to: AttemptState): void {
  assertTransition('attempt', ATTEMPT_TRANSITIONS, from, to);
}

/** Throws `job_state_conflict` unless a rank may move from one state to the other. */
export function assertRankTransition(from: RankState, to: RankState): void {
  assertTransition('rank', RANK_TRANSITIONS, from, to);
}

/** Throws `job_state_conflict`, or that of sweeps, unless `transitions` allow the move. */
export function assertTransition<S extends string>(
  kind: string,
  transitions: Readonly<Record<S, readonly S[]>>,
  from: S,
  to: S,
): void {
  if (transitions[from].includes(to)) return;
  const legal = transitions[from];
  throw fieldError(kind === 'sweep' || kind === 'trial' ? 'sweep_state_conflict' : 'job_state_conflict', {
    path: 'state',
    message: `the ${kind} is ${from} and cannot become ${to}`,
    value: from,
    remedy:
      legal.length === 0 ? `It has ended; nothing more happens to this ${kind}.` : `It can become ${legal.join(', ')}.`,
  });
}
