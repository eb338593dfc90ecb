/** The states of jobs, attempts, ranks, nodes and slots, and which moves are legal. Data: `control` enforces it. */

export const JOB_STATES = [
  'queued',
  'starting',
  'running',
  'recovering',
  'pausing',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
] as const;
export type JobState = (typeof JOB_STATES)[number];

export const JOB_TRANSITIONS: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['starting', 'cancelled', 'failed', 'paused'],
  starting: ['running', 'recovering', 'pausing', 'paused', 'failed', 'cancelled', 'succeeded'],
  running: ['succeeded', 'failed', 'cancelled', 'recovering', 'pausing', 'paused'],
  recovering: ['starting', 'failed', 'cancelled', 'paused'],
  pausing: ['paused', 'failed', 'cancelled', 'succeeded'],
  paused: ['queued', 'cancelled'],
  succeeded: [],
  // Tried again by request.
  failed: ['queued'],
  cancelled: ['queued'],
};

export const ATTEMPT_STATES = ['starting', 'running', 'stopping', 'succeeded', 'failed', 'stopped'] as const;
export type AttemptState = (typeof ATTEMPT_STATES)[number];

export const ATTEMPT_TRANSITIONS: Readonly<Record<AttemptState, readonly AttemptState[]>> = {
  starting: ['running', 'stopping', 'failed', 'stopped', 'succeeded'],
  running: ['stopping', 'succeeded', 'failed', 'stopped'],
  stopping: ['stopped', 'failed', 'succeeded'],
  succeeded: [],
  failed: [],
  stopped: [],
};

export const RANK_STATES = [
  'assigned',
  'launching',
  'connecting',
  'compiling',
  'training',
  'evaluating',
  'succeeded',
  'failed',
  'lost',
  'stopped',
] as const;
export type RankState = (typeof RANK_STATES)[number];
export const RANK_FINAL_STATES: readonly RankState[] = ['succeeded', 'failed', 'lost', 'stopped'];

/** A rank moves forward through its phases (training and evaluating alternate) and may end from any of them. */
export const RANK_TRANSITIONS: Readonly<Record<RankState, readonly RankState[]>> = {
  assigned: ['launching', 'failed', 'lost', 'stopped'],
  launching: ['connecting', 'failed', 'lost', 'stopped'],
  connecting: ['compiling', 'failed', 'lost', 'stopped'],
  compiling: ['training', 'evaluating', 'succeeded', 'failed', 'lost', 'stopped'],
  training: ['evaluating', 'succeeded', 'failed', 'lost', 'stopped'],
  evaluating: ['training', 'succeeded', 'failed', 'lost', 'stopped'],
  succeeded: [],
  failed: [],
  lost: [],
  stopped: [],
};

export const NODE_STATES = ['ready', 'draining', 'lost', 'stopped'] as const;
export type NodeState = (typeof NODE_STATES)[number];

export const JOB_FINAL_STATES: readonly JobState[] = ['succeeded', 'failed', 'cancelled'];
export const isFinalJobState = (state: JobState): boolean => JOB_FINAL_STATES.includes(state);
