import { fieldError, isFinalJobState, type JobState } from '@clipyard/contracts';
import type { Database, NodeWithSlots, Repositories } from '@clipyard/db';
import { stopAttempt } from './attempt-end.js';
import { hasEnded, isFinalRank } from './fence.js';

/** Throws `not_found`. */
export async function findNode(db: Repositories, idOrName: string): Promise<NodeWithSlots> {
  const node = await db.nodes.findByIdOrName(idOrName);
  if (node !== null) return node;
  throw fieldError('not_found', {
    path: 'id',
    message: 'is neither the id nor the name of a node',
    value: idOrName,
    remedy: 'List them with `clipyard nodes` or GET /v1/nodes.',
  });
}

/**
 * Stops the attempts with ranks on a node, each with a checkpoint of the step at hand: that costs no restart, and the next
 * attempt is placed elsewhere, since the node was drained before.
 */
export async function evict(database: Database, { id: nodeId, name }: NodeWithSlots): Promise<void> {
  for (const jobId of await database.read((db) => db.attempts.jobsOn(nodeId))) {
    await database.transaction(async (tx) => {
      const job = await tx.jobs.lock(jobId);
      if (job === null || isFinalJobState(job.state as JobState)) return;
      const attempt = await tx.attempts.find(jobId, job.epoch);
      if (attempt === null || hasEnded(attempt)) return;
      if (!attempt.ranks.some((rank) => rank.nodeId === nodeId && !isFinalRank(rank))) return;
      const reason = `node ${name} is drained`;
      if (job.state !== 'pausing') await tx.jobs.update(jobId, { reason });
      await stopAttempt(tx, job, attempt, { reason, save: true });
    });
  }
}
