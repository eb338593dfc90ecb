import type { RunSpec } from '@clipyard/contracts';
import type { Database, JobRow, Repositories } from '@clipyard/db';
import type { Logger } from '@clipyard/runtime';
import { referredJobs } from './checkpoint-references.js';
import { isOver } from './fence.js';
import { removeFiles } from './messages.js';
import { dropCheckpoints } from './retention.js';
import { handOver } from './separate-evaluation.js';

/** Jobs settled in one round. */
const BATCH = 200;

/**
 * Does for each job that has ended what is left to do, once: hands over what an evaluation has found to its run, then
 * lets retention drop the checkpoints that the job held, of itself and of others. A job that still runs does that
 * itself with its next checkpoint. `removes`: whether somebody removes files of checkpoints.
 */
export async function settleJobs(
  database: Database,
  logger: Pick<Logger, 'error'>,
  { removes }: { readonly removes: boolean },
): Promise<void> {
  for (const id of await database.read((db) => db.jobs.toSettle(BATCH))) {
    try {
      await database.transaction((tx) => settleJob(tx, id, removes));
    } catch (error) {
      logger.error({ job: id, err: error }, 'a job that has ended could not be settled');
    }
  }
}

/** Runs are locked before their evaluations, here and wherever both are. */
async function settleJob(tx: Repositories, id: string, removes: boolean): Promise<void> {
  const before = await tx.jobs.find(id);
  // Deleted since it was looked up, here and below.
  if (before === null) return;
  const { evaluates, spec } = before;
  const others = new Map<string, JobRow>();
  for (const other of [...new Set(referredJobs(spec as unknown as RunSpec))].sort()) {
    const job = await tx.jobs.lock(other);
    if (job !== null) others.set(other, job);
  }
  const job = await tx.jobs.lock(id);
  if (job === null || job.settled) return;
  const run = evaluates === null ? undefined : others.get(evaluates);
  if (run !== undefined) await handOver(tx, run, job);
  await tx.jobs.update(id, { settled: true });
  if (!removes) return;
  for (const holder of [...others.values(), job]) {
    if (!(await isOver(tx, holder))) continue;
    const dropped = await dropCheckpoints(tx, holder);
    if (dropped.length > 0) await removeFiles(tx, holder.id, dropped);
  }
}
