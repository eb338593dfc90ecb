import type { Database } from '@clipyard/db';
import type { MessageBus } from '@clipyard/queue';
import { WakeableLoop } from './wakeable-loop.js';

const BATCH = 100;
/** Look without being notified, ms. */
const POLL_MS = 200;
const KEEP_SENT_MS = 3600_000;
const CLEAN_EVERY_MS = 600_000;

export interface OutboxRelayDeps {
  readonly database: Database;
  readonly bus: Pick<MessageBus, 'publish'>;
  readonly onError: (error: Error) => void;
}

/**
 * Hands messages from the outbox to the queue, at least once: a message is marked in the transaction that holds its
 * row, after the queue has it. Any number of relays may run; each row is held by one at a time.
 */
export class OutboxRelay {
  readonly #deps: OutboxRelayDeps;
  readonly #loop: WakeableLoop;
  #off: (() => void) | undefined;
  #cleanedAt = 0;

  constructor(deps: OutboxRelayDeps) {
    this.#deps = deps;
    this.#loop = new WakeableLoop({ onError: deps.onError }, { run: () => this.#run() });
  }

  async start(): Promise<void> {
    const listener = await this.#deps.database.listener();
    this.#off = listener.on('clipyard_outbox', () => this.#loop.wake());
    this.#loop.start();
  }

  async close(): Promise<void> {
    this.#off?.();
    await this.#loop.close();
  }

  /** Sends what there is; returns when to look again, ms. */
  async #run(): Promise<number> {
    const sent = await relayOnce(this.#deps.database, this.#deps.bus);
    if (sent === BATCH) return 0;
    const now = performance.now();
    if (now - this.#cleanedAt > CLEAN_EVERY_MS) {
      await this.#deps.database.transaction((tx) => tx.outbox.removeSent(KEEP_SENT_MS));
      this.#cleanedAt = now;
    }
    return POLL_MS;
  }
}

/** Sends one batch; returns how many. */
async function relayOnce(database: Database, bus: Pick<MessageBus, 'publish'>): Promise<number> {
  const waiting = await database.read((db) => db.outbox.hasUnsent());
  if (!waiting) return 0;
  return await database.transaction(async (tx) => {
    const rows = await tx.outbox.lockUnsent(BATCH);
    for (const { queue, key, payload, delayMs } of rows) await bus.publish({ name: queue }, key, payload, { delayMs });
    await tx.outbox.markSent(rows.map((row) => row.id));
    return rows.length;
  });
}
