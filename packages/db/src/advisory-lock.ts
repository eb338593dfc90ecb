import { createHash } from 'node:crypto';
import pg from 'pg';

/** A lock of one session in the whole database, on a connection of its own: it goes when the connection or process does. */
export class AdvisoryLock {
  /** Resolves when the lock is no longer held: released, or the connection broke. */
  readonly lost: Promise<void>;
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
    this.lost = new Promise((resolve) => {
      client.once('end', resolve);
      client.on('error', () => resolve());
    });
  }

  static async tryAcquire(url: string, key: string): Promise<AdvisoryLock | undefined> {
    const client = new pg.Client({ connectionString: url, keepAlive: true });
    const lock = new AdvisoryLock(client);
    try {
      await client.connect();
      const number = createHash('sha256').update(key).digest().readBigInt64BE(0);
      const { rows } = await client.query<{ ok: boolean }>('SELECT pg_try_advisory_lock($1) AS ok', [String(number)]);
      if (rows[0]!.ok) return lock;
    } catch (error) {
      await client.end();
      throw error;
    }
    await client.end();
    return undefined;
  }

  async release(): Promise<void> {
    await this.#client.end();
  }
}
