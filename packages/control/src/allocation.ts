import { randomBytes } from 'node:crypto';
import { type RunSpec, worldSizes } from '@clipyard/contracts';
import type { Database, FreeSlot } from '@clipyard/db';
import { neededEngine } from './capacity.js';
import { tellNode } from './messages.js';
import { moveJob } from './transitions.js';

/**
 * Starts the next attempt of a job if its whole gang fits: in one transaction the attempt, its ranks, their slots and
 * the messages to their nodes. Takes the largest world size that fits the free slots for which `usable` holds, of nodes
 * that have the engine which the spec names. Returns the slots taken; none when the job did not start.
 */
export async function allocateGang(
  database: Database,
  jobId: string,
  usable: (slot: FreeSlot) => boolean = () => true,
): Promise<readonly FreeSlot[]> {
  return await database.transaction(async (tx) => {
    const job = await tx.jobs.lock(jobId);
    if (job === null || (job.state !== 'queued' && job.state !== 'recovering')) return [];
    const spec = job.spec as unknown as RunSpec;
    const free = (await tx.nodes.lockFreeSlots(job.pool, neededEngine(spec))).filter(usable);
    const worldSize = worldSizes(spec).findLast((size) => size <= free.length);
    if (worldSize === undefined) return [];
    const places = pack(free, worldSize);
    const epoch = job.epoch + 1;
    const secret = randomBytes(32).toString('base64url');
    await tx.attempts.create(
      { jobId, epoch, secret },
      places.map(({ nodeId, index }) => ({ nodeId, slot: index })),
    );
    await moveJob(tx, job, 'starting', { epoch, worldSize, error: null });
    const data = {
      from: null,
      to: 'starting',
      worldSize,
      ranks: places.map(({ nodeId, index }) => ({ nodeId, slot: index })),
    };
    await tx.events.append({ jobId, type: 'attempt.state', epoch, data });
    for (const nodeId of new Set(places.map((place) => place.nodeId))) {
      await tellNode(tx, nodeId, { type: 'launch', jobId, epoch });
    }
    return places;
  });
}

/** `count` of the free slots on as few nodes as possible; ranks of one node are neighbours. */
export function pack(free: readonly FreeSlot[], count: number): FreeSlot[] {
  const byNode = new Map<string, FreeSlot[]>();
  for (const slot of free) byNode.set(slot.nodeId, [...(byNode.get(slot.nodeId) ?? []), slot]);
  const nodes = [...byNode.values()].sort((a, b) => b.length - a.length);
  const taken: FreeSlot[] = [];
  while (taken.length < count) {
    const rest = count - taken.length;
    // The smallest node that holds all the rest, else the largest there is: leaves whole nodes free for others.
    const at = nodes.findLastIndex((slots) => slots.length >= rest);
    const [slots] = nodes.splice(Math.max(at, 0), 1);
    taken.push(...slots!.slice(0, rest));
  }
  return taken;
}
