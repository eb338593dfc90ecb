import { ClipyardError } from '@clipyard/contracts';
import pg from 'pg';

/** Session advisory lock that every process that uses the server holds shared: the last one out stops it. */
const KEY = [7070, 1] as const;

/** Codes of a server that starts, stops or is gone, and of another process that made the database first. */
const COMES_OR_GOES = ['57P03', '57P01', 'ECONNREFUSED', 'ECONNRESET', '42P04', '23505'];

/** One process's share in a running server: a connection that holds the lock, and does not keep the process alive. */
export class UserLock {
  readonly #url: string;
  readonly #client: pg.Client;

  private constructor(url: string, client: pg.Client) {
    this.#url = url;
    this.#client = client;
  }

  /** Joins the server and makes sure of the database; undefined when the server is starting, stopping or gone. */
  static async join(adminUrl: string, database: string): Promise<UserLock | undefined> {
    const client = new pg.Client({ connectionString: adminUrl });
    client.on('error', ignoreLostConnection);
    try {
      await client.connect();
      const exists = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
      if (exists.rowCount === 0) await client.query(`CREATE DATABASE ${database}`);
      // Refused only while the last user is stopping the server.
      const { rows } = await client.query<{ ok: boolean }>('SELECT pg_try_advisory_lock_shared($1, $2) AS ok', [
        ...KEY,
      ]);
      if (rows[0]!.ok) {
        streamOf(client).unref();
        return new UserLock(adminUrl, client);
      }
    } catch (error) {
      if (!isComingOrGoing(error)) {
        await client.end();
        throw ClipyardError.from(error, 'database_unavailable');
      }
    }
    await client.end();
    return undefined;
  }

  /** Gives up our share and tries for the whole; then nobody can join any more. False when others have a share. */
  async leave(): Promise<boolean> {
    streamOf(this.#client).ref();
    try {
      await this.#client.query('SELECT pg_advisory_unlock_shared($1, $2)', [...KEY]);
      return await tryWhole(this.#client);
    } catch (error) {
      // Of a connection that is gone pg tells by these messages, without a code.
      const gone = /Connection terminated|connection error|not queryable/i.test((error as Error).message);
      if (!gone && !isComingOrGoing(error)) throw error;
    }
    // Our share went with the connection, the server perhaps did not.
    const client = new pg.Client({ connectionString: this.#url });
    client.on('error', ignoreLostConnection);
    try {
      await client.connect();
      return await tryWhole(client);
    } catch (error) {
      if (isComingOrGoing(error)) return false;
      throw error;
    } finally {
      await client.end();
    }
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

async function tryWhole(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ ok: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS ok', [...KEY]);
  return rows[0]!.ok;
}

function isComingOrGoing(error: unknown): boolean {
  return COMES_OR_GOES.includes((error as { code?: string }).code ?? '');
}

/** A lost connection shows at the next query; without a listener it would end the process. */
function ignoreLostConnection(): void {}

/** The socket below a client. */
function streamOf(client: pg.Client): { ref(): void; unref(): void } {
  return (client as unknown as { connection: { stream: { ref(): void; unref(): void } } }).connection.stream;
}
