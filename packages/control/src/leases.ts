import type { SerializedError } from '@clipyard/contracts';
import type { Database, RankRow } from '@clipyard/db';
import { endRank } from './attempt-end.js';

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

async function endAsLost(database: Database, ranks: readonly RankRow[], error: SerializedError): Promise<void> {
  for (const { jobId, epoch, rank } of ranks) {
    await database.transaction(async (tx) => {
      const job = (await tx.jobs.lock(jobId))!;
      const current = (await tx.attempts.findRank(jobId, epoch, rank))!;
      await endRank(tx, job, current, { state: 'lost', error });
    });
  }
}
