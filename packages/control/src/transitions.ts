import type { AttemptState, JobState, RankState, SerializedError } from '@clipyard/contracts';
import type { AttemptWithRanks, JobChanges, JobRow, RankRow, Repositories } from '@clipyard/db';
import { assertAttemptTransition, assertJobTransition, assertRankTransition } from './state-machine.js';

/**
 * The only places where a state changes: each checks that the move is legal and writes its event in the same
 * transaction. The caller holds the lock of the job's row.
 */

export type JobMove = Omit<JobChanges, 'state'>;

export async function moveJob(tx: Repositories, job: JobRow, to: JobState, changes: JobMove = {}): Promise<JobRow> {
  const from = job.state as JobState;
  assertJobTransition(from, to);
  const reason = changes.reason ?? null;
  const moved = await tx.jobs.update(job.id, { ...changes, state: to, reason });
  const error = changes.error ?? null;
  await tx.events.append({
    jobId: job.id,
    type: 'job.state',
    epoch: moved.epoch,
    data: { from, to, reason, ...(error === null ? {} : { error: publicError(error) }) },
  });
  return moved;
}

export async function moveAttempt(
  tx: Repositories,
  attempt: Omit<AttemptWithRanks, 'ranks'>,
  to: AttemptState,
  changes: { error?: SerializedError; saves?: boolean; startedAt?: Date; finishedAt?: Date } = {},
): Promise<void> {
  const { jobId, epoch } = attempt;
  const from = attempt.state as AttemptState;
  assertAttemptTransition(from, to);
  await tx.attempts.update(jobId, epoch, { ...changes, state: to });
  const { error } = changes;
  const data = {
    from,
    to,
    worldSize: attempt.worldSize,
    ...(error === undefined ? {} : { error: publicError(error) }),
  };
  await tx.events.append({ jobId, type: 'attempt.state', epoch, data });
}

export async function moveRank(
  tx: Repositories,
  rank: RankRow,
  to: RankState,
  changes: { error?: SerializedError; pid?: number; host?: string; port?: number; finishedAt?: Date } = {},
): Promise<void> {
  const { jobId, epoch } = rank;
  const from = rank.state as RankState;
  assertRankTransition(from, to);
  await tx.attempts.updateRank(jobId, epoch, rank.rank, { ...changes, state: to });
  const { error } = changes;
  const data = { rank: rank.rank, nodeId: rank.nodeId, from, to };
  await tx.events.append({
    jobId,
    type: 'rank.state',
    epoch,
    data: error === undefined ? data : { ...data, error: publicError(error) },
  });
}

/** Without the stack, which is for logs. */
export function publicError(error: SerializedError): Omit<SerializedError, 'stack'> {
  return { code: error.code, message: error.message, fields: error.fields };
}
