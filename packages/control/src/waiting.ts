import type { JobState, SerializedError } from '@clipyard/contracts';
import type { Database, JobNeeds, ReadySlots } from '@clipyard/db';

/** Jobs told in one round why they wait; the rest are told in the next ones. */
const BATCH = 200;

/**
 * Writes into the reason of every job that may start but has not what it waits for, with an event where that is news.
 * The reason of a recovering job goes on naming what ended its last attempt.
 */
export async function explainWaiting(database: Database): Promise<void> {
  const demands = await database.read((db) => db.jobs.demands());
  if (demands.length === 0) return;
  const ready = await database.read((db) => db.nodes.readySlots());
  for (const needs of demands) {
    const why = whyItWaits(needs, ready);
    for (const id of await database.read((db) => db.jobs.unexplained(needs, why, BATCH))) {
      await explain(database, id, why);
    }
  }
}

async function explain(database: Database, jobId: string, why: string): Promise<void> {
  await database.transaction(async (tx) => {
    const job = await tx.jobs.lock(jobId);
    const state = job?.state as JobState | undefined;
    if (job === null || (state !== 'queued' && state !== 'recovering')) return;
    const attempt = state === 'recovering' ? await tx.attempts.find(jobId, job.epoch) : null;
    const error = attempt?.error as SerializedError | null | undefined;
    const reason = attempt === null ? why : `${error?.message ?? 'its ranks were stopped'}; ${why}`;
    await tx.jobs.update(jobId, { reason });
    await tx.events.append({ jobId, type: 'job.state', epoch: job.epoch, data: { from: state, to: state, reason } });
  });
}

/** Names no number that changes while others come and go, so that it is news only when the cause is another. */
export function whyItWaits(needs: JobNeeds, ready: readonly ReadySlots[]): string {
  return whyNodesLack(needs, ready) ?? `waits for ${wantedSlots(needs)} to come free in pool \`${needs.pool}\``;
}

/** What is wrong with the nodes, however many of their slots are free; undefined: nothing. */
export function whyNodesLack(needs: JobNeeds, ready: readonly ReadySlots[]): string | undefined {
  const { pool, engine, minWorld } = needs;
  const inPool = ready.filter((group) => group.pool === pool);
  if (inPool.length === 0) return `waits for nodes: pool \`${pool}\` has none that are ready`;
  const fitting = engine === null ? inPool : inPool.filter(({ engines }) => engines.includes(engine));
  if (fitting.length === 0)
    return `waits for a node with the engine ${engine}: none that is ready in pool \`${pool}\` has it`;
  const slots = fitting.reduce((sum, group) => sum + group.slots, 0);
  return slots < minWorld
    ? `waits for more nodes: needs ${wantedSlots(needs)}, and pool \`${pool}\` has ${slotsText(slots)}`
    : undefined;
}

const slotsText = (count: number): string => `${count} ${count === 1 ? 'slot' : 'slots'}`;

export function wantedSlots({ engine, minWorld }: Pick<JobNeeds, 'engine' | 'minWorld'>): string {
  return `${slotsText(minWorld)}${engine === null ? '' : ` with the engine ${engine}`}`;
}
