import type { Outbox as OutboxRow } from '../generated/client.js';
import { type Client, json } from './client.js';

export type { OutboxRow };

/** Messages that are decided in the transaction that makes them necessary, and handed to the queue afterwards. */
export class OutboxRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async add(queue: string, key: string, payload: unknown, { delayMs = 0 } = {}): Promise<void> {
    await this.#client.$executeRaw`
      WITH added AS (
        INSERT INTO outbox (queue, key, payload, delay_ms)
        VALUES (${queue}, ${key}, ${JSON.stringify(json(payload))}::jsonb, ${Math.round(delayMs)}::int)
      )
      SELECT pg_notify('clipyard_outbox', '')`;
  }

  /** The oldest messages that are not sent, locked until the transaction ends; those that another relay holds are passed over. */
  async lockUnsent(limit: number): Promise<OutboxRow[]> {
    const rows = await this.#client.$queryRaw<{ id: bigint }[]>`
      SELECT id FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
    return await this.#client.outbox.findMany({
      where: { id: { in: rows.map((row) => row.id) } },
      orderBy: { id: 'asc' },
    });
  }

  async hasUnsent(): Promise<boolean> {
    return (await this.#client.outbox.findFirst({ where: { sentAt: null }, select: { id: true } })) !== null;
  }

  /** How many are not sent, and how long the oldest of them waits, ms. */
  async unsent(): Promise<{ count: number; oldestMs: number }> {
    const [row] = await this.#client.$queryRaw<{ count: number; oldestMs: number }[]>`
      SELECT count(*)::int AS count,
        coalesce(extract(epoch FROM clock_timestamp() - min(created_at)) * 1000, 0)::float8 AS "oldestMs"
      FROM outbox WHERE sent_at IS NULL`;
    return row!;
  }

  async markSent(ids: readonly bigint[]): Promise<void> {
    await this.#client.outbox.updateMany({ where: { id: { in: [...ids] } }, data: { sentAt: new Date() } });
  }

  /** Forgets messages sent longer ago than this; returns how many. */
  async removeSent(olderThanMs: number): Promise<number> {
    return await this.#client.$executeRaw`
      DELETE FROM outbox WHERE sent_at < clock_timestamp() - make_interval(secs => ${olderThanMs / 1000})`;
  }
}
