import type { Page, QueueEntry } from '@clipyard/contracts';
import type { Database, ReadySlots, WaitingJob } from '@clipyard/db';
import { decodeQueueCursor, encodeQueueCursor } from './cursor.js';
import { FreeSlots } from './free-slots.js';
import { wantedSlots, whyNodesLack } from './waiting.js';

/**
 * The jobs that wait for slots, in the order in which the scheduler looks at them, and what each waits for. With a project
 * nothing tells of others: places count its own jobs.
 */
export async function listQueue(
  database: Database,
  { project, pool, cursor, limit }: { project?: string; pool?: string; cursor?: string; limit: number },
): Promise<Page<QueueEntry>> {
  const query = {
    limit: limit + 1,
    ...(project === undefined ? {} : { project }),
    ...(pool === undefined ? {} : { pool }),
    ...(cursor === undefined ? {} : { after: decodeQueueCursor(cursor) }),
  };
  const [rows, ready, slots] = await database.read((db) =>
    Promise.all([db.jobs.waiting(query), db.nodes.readySlots(), db.nodes.freeSlots()]),
  );
  const free = new FreeSlots(slots);
  const items = rows.slice(0, limit);
  return {
    items: items.map((job) => entry(job, ready, free.count(job))),
    nextCursor: rows.length > limit ? encodeQueueCursor(items.at(-1)!) : null,
  };
}

function entry(job: WaitingJob, ready: readonly ReadySlots[], freeSlots: number): QueueEntry {
  const { id, position, name, state, priority, labels, pool, engine, minWorld, maxWorld, notBefore, createdAt } = job;
  return {
    position,
    jobId: id,
    name,
    state,
    priority,
    labels,
    pool,
    engine,
    world: { min: minWorld, max: maxWorld },
    freeSlots,
    why: why(job, ready, freeSlots),
    notBefore: job.delayed ? notBefore!.toISOString() : null,
    createdAt: createdAt.toISOString(),
  };
}

function why(job: WaitingJob, ready: readonly ReadySlots[], freeSlots: number): string {
  if (job.delayed) return `starts again at ${job.notBefore!.toISOString()} at the earliest, after what ended it`;
  const lack = whyNodesLack(job, ready);
  if (lack !== undefined) return lack;
  if (job.afterRun) return 'its run waits, too, and goes first';
  if (freeSlots >= job.minWorld) return 'is about to start, unless one before it takes the free slots';
  return `needs ${wantedSlots(job)} in pool \`${job.pool}\`, ${freeSlots} free`;
}
