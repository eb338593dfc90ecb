import { sleep } from '@clipyard/runtime';
import pg from 'pg';

export type Channel = 'clipyard_event' | 'clipyard_outbox';
const CHANNELS: readonly Channel[] = ['clipyard_event', 'clipyard_outbox'];
const RECONNECT_MS = 500;

/**
 * One connection that hears the notifications of the database and passes them on. A broken connection is made anew;
 * what was said in between is lost, so handlers are called once with an empty payload then, and users poll besides.
 */
export class Listener {
  readonly #url: string;
  readonly #handlers = new Map<Channel, Set<(payload: string) => void>>();
  readonly #abort = new AbortController();
  #client: pg.Client | undefined;

  private constructor(url: string) {
    this.#url = url;
    for (const channel of CHANNELS) this.#handlers.set(channel, new Set());
  }

  static async connect(url: string): Promise<Listener> {
    const listener = new Listener(url);
    await listener.#connect();
    return listener;
  }

  /** Calls `handler` with the payload of each notification until the returned function is called. */
  on(channel: Channel, handler: (payload: string) => void): () => void {
    const handlers = this.#handlers.get(channel)!;
    handlers.add(handler);
    return () => handlers.delete(handler);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#client?.end();
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url, keepAlive: true });
    let listening = false;
    client.on('notification', ({ channel, payload }) => this.#notify(channel as Channel, payload ?? ''));
    // Before it listens, an error rejects the calls below; afterwards the end of the connection tells.
    client.on('error', ignoreError);
    client.once('end', () => {
      if (listening) void this.#reconnect();
    });
    try {
      await client.connect();
      for (const channel of CHANNELS) await client.query(`LISTEN ${channel}`);
    } catch (error) {
      await client.end();
      throw error;
    }
    listening = true;
    this.#client = client;
    if (this.#abort.signal.aborted) await client.end();
  }

  async #reconnect(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#connect();
        for (const channel of CHANNELS) this.#notify(channel, '');
        return;
      } catch {
        // The database is out of reach; users poll and report that, here is nothing to do but to try again.
        await sleep(RECONNECT_MS);
      }
    }
  }

  #notify(channel: Channel, payload: string): void {
    for (const handler of this.#handlers.get(channel) ?? []) handler(payload);
  }
}

function ignoreError(): void {}
