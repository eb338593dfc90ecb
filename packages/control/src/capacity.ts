import { fieldError, type RunSpec } from '@clipyard/contracts';
import type { Repositories } from '@clipyard/db';

/**
 * Throws `world_unsatisfiable` when the nodes ever registered in the pool have fewer slots than the smallest world.
 * In a pool without nodes anything may still come, so the job waits.
 */
export async function assertSatisfiable(tx: Repositories, spec: RunSpec): Promise<void> {
  const { pool, world } = spec.resources;
  const { nodes, slots } = await tx.nodes.capacity(pool);
  if (nodes === 0 || world.min <= slots) return;
  throw fieldError('world_unsatisfiable', {
    path: 'resources.world.min',
    message: `is more than the ${slots} slots of all nodes in pool \`${pool}\``,
    value: world.min,
    remedy: `Use at most ${slots}, or register more nodes first.`,
  });
}
