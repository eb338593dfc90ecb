import { fieldError, type RunSpec } from '@clipyard/contracts';
import type { Repositories } from '@clipyard/db';

/** The engine that the nodes of a job must have; null: any will do. */
export function neededEngine({ resources: { engine } }: RunSpec): string | null {
  return engine === 'auto' ? null : engine;
}

/**
 * Throws `world_unsatisfiable` when the nodes ever registered in the pool, or those of them that have the engine, have
 * fewer slots than the smallest world. Where there are no such nodes anything may still come, so the job waits.
 */
export async function assertSatisfiable(tx: Repositories, spec: RunSpec): Promise<void> {
  const { pool, world } = spec.resources;
  const engine = neededEngine(spec);
  for (const needed of engine === null ? [null] : [null, engine]) {
    const { nodes, slots } = await tx.nodes.capacity(pool, needed);
    if (nodes === 0 || world.min <= slots) continue;
    throw fieldError('world_unsatisfiable', {
      path: 'resources.world.min',
      message: `is more than the ${slots} slots of all nodes in pool \`${pool}\`${needed === null ? '' : ` that have the engine ${needed}`}`,
      value: world.min,
      remedy: `Use at most ${slots}, or register more ${needed === null ? 'nodes' : 'such nodes'} first.`,
    });
  }
}
