import type { SerializedError } from '@clipyard/contracts';
import type { Database, RankRow } from '@clipyard/db';
import { endRanks } from './attempt-end.js';

/** Gives up the nodes whose lease ran out, by the database's clock, and ends the ranks of all nodes that are gone. */
export async function expireLeases(database: Database): Promise<readonly string[]> {
  const names = await database.transaction((tx) => tx.nodes.expire());
  // Looked up by state, not by what this call has expired: a process may have been killed between the two.
  const left = await database.read((db) => db.attempts.unfinishedOnGoneNodes());
  await endAsLost(database, left, {
    code: 'node_lost',
    message: 'The node stopped renewing its lease',
    fields: [],
  });
  return names;
}

/** Ends the ranks that a node has left over as lost. */
export async function endRanksOf(database: Database, nodeId: string, why: string): Promise<void> {
  const left = await database.read((db) => db.attempts.unfinishedOn(nodeId));
  await endAsLost(database, left, { code: 'rank_lost', message: `The rank was lost: ${why}`, fields: [] });
}

/** All ranks of an attempt at once, so that none of them is told to stop on a node that is gone. */
async function endAsLost(database: Database, ranks: readonly RankRow[], error: SerializedError): Promise<void> {
  const fences = new Map(ranks.map(({ jobId, epoch }) => [`${jobId} ${epoch}`, { jobId, epoch }]));
  for (const { jobId, epoch } of fences.values()) {
    const lost = ranks.filter((rank) => rank.jobId === jobId && rank.epoch === epoch).map(({ rank }) => rank);
    await database.transaction(async (tx) => {
      const job = await tx.jobs.lock(jobId);
      const attempt = await tx.attempts.find(jobId, epoch);
      // Ended and deleted since they were looked up.
      if (job === null || attempt === null) return;
      await endRanks(
        tx,
        job,
        attempt.ranks.filter(({ rank }) => lost.includes(rank)),
        { state: 'lost', error },
      );
    });
  }
}
