import type { IdempotencyKey as IdempotencyRow } from '../generated/client.js';
import type { Client } from './client.js';

export type { IdempotencyRow };

export class IdempotencyRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * Takes the key for a job unless it is taken, and returns the row of whoever has it. A second caller waits here until
   * the transaction of the first has ended.
   */
  async claim(key: string, requestHash: string, jobId: string): Promise<IdempotencyRow> {
    await this.#client.$executeRaw`
      INSERT INTO idempotency_key (key, request_hash, job_id) VALUES (${key}, ${requestHash}, ${jobId})
      ON CONFLICT (key) DO NOTHING`;
    return await this.#client.idempotencyKey.findUniqueOrThrow({ where: { key } });
  }

  /** Frees the keys with which something was created. */
  async forget(jobId: string): Promise<void> {
    await this.#client.idempotencyKey.deleteMany({ where: { jobId } });
  }
}
