import type { FreeCount, FreeSlot, JobNeeds } from '@clipyard/db';

export type FreeSlotOfNode = FreeSlot & { readonly pool: string; readonly engines: readonly string[] };

/** The slots that one round of the scheduler may give out. */
export class FreeSlots {
  readonly #slots: Map<string, FreeSlotOfNode>;

  constructor(slots: readonly FreeSlotOfNode[]) {
    this.#slots = new Map(slots.map((slot) => [keyOf(slot), slot]));
  }

  has(slot: FreeSlot): boolean {
    return this.#slots.has(keyOf(slot));
  }

  /** How many there are for a job. */
  count({ pool, engine }: Pick<JobNeeds, 'pool' | 'engine'>): number {
    const fits = (slot: FreeSlotOfNode): boolean =>
      slot.pool === pool && (engine === null || slot.engines.includes(engine));
    return [...this.#slots.values()].filter(fits).length;
  }

  /** How many there are in each pool, in all and with each engine. */
  counts(): FreeCount[] {
    const counts = new Map<string, { pool: string; engine: string | null; slots: number }>();
    for (const { pool, engines } of this.#slots.values()) {
      for (const engine of new Set([null, ...engines])) {
        const key = JSON.stringify([pool, engine]);
        const count = counts.get(key) ?? { pool, engine, slots: 0 };
        count.slots += 1;
        counts.set(key, count);
      }
    }
    return [...counts.values()];
  }

  take(slots: readonly FreeSlot[]): void {
    for (const slot of slots) this.#slots.delete(keyOf(slot));
  }
}

const keyOf = ({ nodeId, index }: FreeSlot): string => `${nodeId} ${index}`;
