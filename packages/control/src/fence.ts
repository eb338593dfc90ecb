import {
  type AttemptState,
  ClipyardError,
  isFinalJobState,
  type JobState,
  RANK_FINAL_STATES,
  type RankState,
} from '@clipyard/contracts';
import type { AttemptWithRanks, JobRow, RankRow, Repositories } from '@clipyard/db';
import type { Fence, RankKey } from './control-plane.js';

/** Whether a job and its ranks have ended. */
export async function isOver(db: Repositories, job: JobRow): Promise<boolean> {
  if (!isFinalJobState(job.state as JobState)) return false;
  const attempt = job.epoch === 0 ? null : await db.attempts.find(job.id, job.epoch);
  return attempt === null || hasEnded(attempt);
}

export interface Held {
  readonly job: JobRow;
  readonly attempt: AttemptWithRanks;
}

const ENDED: readonly AttemptState[] = ['succeeded', 'failed', 'stopped'];

export const hasEnded = (attempt: { readonly state: string }): boolean => ENDED.includes(attempt.state as AttemptState);
export const isFinalRank = (rank: { readonly state: string }): boolean =>
  RANK_FINAL_STATES.includes(rank.state as RankState);

/**
 * Locks the job and checks that the attempt still holds it, for a write in the same transaction. Throws `attempt_stale`
 * when it does not: a newer attempt exists, or this one has ended. Ranks of a cancelled job hold it until they have ended,
 * so that their last step and checkpoint are on record and nothing half-written is left.
 */
export async function lockHeld(tx: Repositories, fence: Fence): Promise<Held> {
  const job = await tx.jobs.lock(fence.jobId);
  if (job === null) throw stale(fence, 'there is no such job');
  if (job.epoch !== fence.epoch) throw stale(fence, `the job is at epoch ${job.epoch}`);
  const attempt = await tx.attempts.find(fence.jobId, fence.epoch);
  if (attempt === null || hasEnded(attempt)) throw stale(fence, `the attempt is ${attempt?.state ?? 'unknown'}`);
  return { job, attempt };
}

/** As `lockHeld`, for the write of a rank that must not have ended. */
export async function lockHeldRank(tx: Repositories, key: RankKey): Promise<Held & { readonly rank: RankRow }> {
  const held = await lockHeld(tx, key);
  const rank = held.attempt.ranks.find((candidate) => candidate.rank === key.rank);
  if (rank === undefined || isFinalRank(rank)) throw stale(key, `rank ${key.rank} is ${rank?.state ?? 'unknown'}`);
  return { ...held, rank };
}

export function stale(fence: Fence, why: string): ClipyardError {
  return new ClipyardError('attempt_stale', `Epoch ${fence.epoch} no longer holds job ${fence.jobId}: ${why}`);
}
