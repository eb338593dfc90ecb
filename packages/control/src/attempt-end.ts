import { ERRORS, isFinalJobState, type JobState, type RunSpec, type SerializedError } from '@clipyard/contracts';
import type { AttemptWithRanks, JobRow, RankRow, Repositories } from '@clipyard/db';
import type { RankEnd } from './control-plane.js';
import { hasEnded, isFinalRank } from './fence.js';
import { tellNode, wakeScheduler } from './messages.js';
import { moveAttempt, moveJob, moveRank } from './transitions.js';

const BACKOFF_FIRST_MS = 500;
/** Longest wait before the next attempt of a job, ms. */
const BACKOFF_MAX_MS = 60_000;

/**
 * Ends ranks of one attempt and frees their slots; those that have ended are left alone. The first rank that did not
 * succeed stops the others, and the last end decides the attempt and the job. Also for attempts that no longer hold the
 * job, so that slots of cancelled jobs come free. The caller holds the lock of the job's row.
 */
export async function endRanks(tx: Repositories, job: JobRow, ranks: readonly RankRow[], end: RankEnd): Promise<void> {
  const ending = ranks.filter((rank) => !isFinalRank(rank));
  const [first] = ending;
  if (first === undefined) return;
  const { jobId, epoch } = first;
  for (const rank of ending) {
    await moveRank(tx, rank, end.state, { finishedAt: new Date(), ...('error' in end ? { error: end.error } : {}) });
    await tx.attempts.freeSlot(jobId, epoch, rank.rank);
  }
  const attempt = (await tx.attempts.find(jobId, epoch))!;
  if (attempt.ranks.every(isFinalRank)) {
    await endAttempt(tx, job, attempt);
  } else if (end.state !== 'succeeded') {
    const which = ending.map((rank) => rank.rank).join(', ');
    const why = 'error' in end ? `${end.state}: ${end.error.message}` : end.state;
    await stopAttempt(tx, job, attempt, { reason: `rank ${which} ${why}`, save: false });
  }
}

/**
 * Tells the nodes of ranks that have not ended to stop them; does nothing when that was done. Ranks that no worker has
 * taken up end at once: their assignment is withdrawn with the state of the attempt.
 */
export async function stopAttempt(
  tx: Repositories,
  job: JobRow,
  attempt: AttemptWithRanks,
  how: { readonly reason: string; readonly save: boolean },
): Promise<void> {
  if (attempt.state === 'stopping' || hasEnded(attempt)) return;
  await moveAttempt(tx, attempt, 'stopping', { saves: how.save });
  const { jobId, epoch } = attempt;
  const unfinished = attempt.ranks.filter((rank) => !isFinalRank(rank));
  for (const nodeId of new Set(unfinished.map((rank) => rank.nodeId))) {
    await tellNode(tx, nodeId, { type: 'stop', jobId, epoch, ...how });
  }
  for (const rank of unfinished.filter(({ state }) => state === 'assigned')) {
    await moveRank(tx, rank, 'stopped', { finishedAt: new Date() });
    await tx.attempts.freeSlot(jobId, epoch, rank.rank);
  }
  const now = (await tx.attempts.find(jobId, epoch))!;
  if (now.ranks.every(isFinalRank)) await endAttempt(tx, job, now);
}

async function endAttempt(tx: Repositories, job: JobRow, attempt: AttemptWithRanks): Promise<void> {
  const finishedAt = new Date();
  const fence = { jobId: attempt.jobId, epoch: attempt.epoch };
  const over = job.epoch !== attempt.epoch || isFinalJobState(job.state as JobState);
  const error = over ? undefined : namingError(attempt.ranks);
  await wakeScheduler(tx, 'attempt.ended', fence);
  if (attempt.ranks.every((rank) => rank.state === 'succeeded')) {
    await moveAttempt(tx, attempt, 'succeeded', { finishedAt });
    if (!over) await moveJob(tx, job, 'succeeded', { finishedAt });
  } else if (error === undefined) {
    // Cancelled, or stopped without a fault, as by a worker that was asked to end: that costs no restart.
    await moveAttempt(tx, attempt, 'stopped', { finishedAt });
    if (over) return;
    if (job.state === 'pausing') await moveJob(tx, job, 'paused', { reason: job.reason });
    else if (await reachedPause(tx, job))
      await moveJob(tx, job, 'paused', { reason: `was to pause at step ${job.pauseStep}` });
    else await recover(tx, job, undefined);
  } else {
    await moveAttempt(tx, attempt, 'failed', { finishedAt, error });
    await recover(tx, job, error);
  }
}

/** Whether the job has come to the step at which it was to pause by itself. */
export async function reachedPause(tx: Repositories, job: JobRow): Promise<boolean> {
  return job.pauseStep !== null && (await tx.checkpoints.newestStep(job.id)) >= job.pauseStep;
}

/** Lets the job start again after a while (one that pauses: when it is resumed), or fails it when the budget for this kind of fault is spent. */
async function recover(tx: Repositories, job: JobRow, error: SerializedError | undefined): Promise<void> {
  const fault = error === undefined ? undefined : ERRORS[error.code].fault;
  const spent = { infrastructure: job.restartsInfrastructure, user: job.restartsUser };
  if (error !== undefined && fault !== undefined) {
    const budget = (job.spec as unknown as RunSpec).restarts[fault];
    if (spent[fault] >= budget) {
      const reason = budget === 0 ? error.message : `${error.message} (after ${budget} restarts)`;
      await moveJob(tx, job, 'failed', { finishedAt: new Date(), error, reason });
      return;
    }
    spent[fault] += 1;
  }
  const newest = await tx.checkpoints.newestStep(job.id);
  const failures = newest > job.failedAtCheckpoint ? 0 : job.failuresInARow;
  await moveJob(tx, job, job.state === 'pausing' ? 'paused' : 'recovering', {
    reason: error?.message ?? 'its ranks were stopped',
    restartsInfrastructure: spent.infrastructure,
    restartsUser: spent.user,
    failuresInARow: error === undefined ? failures : failures + 1,
    failedAtCheckpoint: newest,
  });
  await tx.jobs.delay(job.id, backoffMs(failures));
}

/** 0.5 s, doubling with each failure without a newer checkpoint, to 60 s. */
export function backoffMs(failures: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 20));
}

/** Errors of ranks that only tell that another rank went away. */
const CONSEQUENCES: readonly string[] = ['link_closed', 'link_timeout', 'attempt_stale', 'cancelled'];

/** The error that names the attempt: what a rank says of itself, then ranks that vanished, then what follows from others. */
export function namingError(ranks: readonly RankRow[]): SerializedError | undefined {
  const weight = (rank: RankRow): number =>
    rank.state === 'lost' ? 1 : CONSEQUENCES.includes((rank.error as unknown as SerializedError).code) ? 2 : 0;
  const [first] = ranks
    .filter((rank) => (rank.state === 'failed' || rank.state === 'lost') && rank.error !== null)
    .sort((a, b) => weight(a) - weight(b) || a.finishedAt!.getTime() - b.finishedAt!.getTime() || a.rank - b.rank);
  return first === undefined ? undefined : (first.error as unknown as SerializedError);
}
