import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedPostgres } from './embedded/embedded-postgres.js';
import { migrate } from './migrate.js';
import { SteadyClient } from './steady-client.js';

export interface TestDatabase {
  readonly url: string;
  /** Empties all tables of ours. */
  reset(): Promise<void>;
  /** Breaks all connections, as a restart of the server does. */
  disconnectAll(): Promise<void>;
  /** Stops the server and removes its directory. */
  close(): Promise<void>;
}

/** For tests: a migrated database on a server of its own in a temporary directory, in about a second. */
export async function bootTestDatabase(): Promise<TestDatabase> {
  const directory = await mkdtemp(join(tmpdir(), 'clipyard-test-'));
  // Run as root, PostgreSQL's account must be able to enter.
  await chmod(directory, 0o755);
  const server = new EmbeddedPostgres({ directory, durable: false, orphanGraceMs: 0 });
  const close = async (): Promise<void> => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const url = await server.start();
    await migrate(url);
    return { url, close, reset: () => execute(url, TRUNCATE), disconnectAll: () => execute(url, DISCONNECT) };
  } catch (error) {
    await close();
    throw error;
  }
}

const TRUNCATE = 'TRUNCATE job, node, outbox, idempotency_key, sweep, token, audit_event, webhook CASCADE';
const DISCONNECT =
  'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL';

async function execute(url: string, statement: string): Promise<void> {
  const client = new SteadyClient({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
