import { ClipyardError } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { AdvisoryLock } from './advisory-lock.js';
import { Prisma, PrismaClient } from './generated/client.js';
import { Listener } from './listener.js';
import type { Rows } from './repositories/client.js';
import { createRepositories, type Repositories } from './repositories/repositories.js';
import { SteadyClient } from './steady-client.js';

export interface DatabaseOptions {
  readonly url: string;
  /** Most connections of the pool. Default 10. */
  readonly connections?: number;
  /** Longest wait for a connection, ms. Default 10,000. */
  readonly connectTimeoutMs?: number;
}

/** Longest wait for a connection to the database, in the pool or to be made, ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Opens the database; it must have been migrated. Throws `database_unavailable`. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: options.url,
    Client: SteadyClient,
    max: options.connections ?? 10,
    connectionTimeoutMillis: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
  });
  // Idle connections that break are made anew; queries tell of the others.
  pool.on('error', () => {});
  const client = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: true }) });
  const database = new Database(client, pool, options.url);
  try {
    await database.ping();
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

/** Times that a transaction is tried when the database asks for it (deadlock, write conflict). */
const TRANSACTION_TRIES = 5;
/** Longest transaction, and longest wait for one, ms. */
const TRANSACTION_TIMEOUT_MS = 20_000;

export class Database {
  readonly #client: PrismaClient;
  readonly #url: string;
  readonly #repositories: Repositories;
  #listener: Promise<Listener> | undefined;

  constructor(client: PrismaClient, pool: pg.Pool, url: string) {
    this.#client = client;
    this.#url = url;
    const rows: Rows = async (query) => (await pool.query(query.text, query.values)).rows;
    this.#repositories = createRepositories(client, rows);
  }

  /** Reads outside a transaction. Throws `database_unavailable`. */
  async read<T>(work: (repositories: Repositories) => Promise<T>): Promise<T> {
    try {
      return await work(this.#repositories);
    } catch (error) {
      throw translate(error);
    }
  }

  /**
   * Runs `work` in one transaction (read committed), again from the start when the database asks for it, so it must
   * have no other effects. Throws what `work` throws, or `database_unavailable`.
   */
  async transaction<T>(
    work: (repositories: Repositories) => Promise<T>,
    options: { signal?: AbortSignal } = {},
  ): Promise<T> {
    for (let tries = 1; ; tries++) {
      options.signal?.throwIfAborted();
      try {
        return await this.#client.$transaction((client) => work(createRepositories(client)), {
          maxWait: TRANSACTION_TIMEOUT_MS,
          timeout: TRANSACTION_TIMEOUT_MS,
        });
      } catch (error) {
        if (!isRetryable(error) || tries === TRANSACTION_TRIES) throw translate(error);
        await sleep(Math.random() * 20 * tries);
      }
    }
  }

  /** Throws `database_unavailable` unless the database answers. */
  async ping(): Promise<void> {
    try {
      await this.#client.$queryRaw`SELECT 1`;
    } catch (error) {
      throw translate(error);
    }
  }

  /** What the clock of the database says, by which leases are judged. Throws `database_unavailable`. */
  async now(): Promise<Date> {
    try {
      const [row] = await this.#client.$queryRaw<[{ now: Date }]>`SELECT clock_timestamp() AS now`;
      return row.now;
    } catch (error) {
      throw translate(error);
    }
  }

  /** The one connection of this process that listens for notifications. */
  async listener(): Promise<Listener> {
    this.#listener ??= Listener.connect(this.#url);
    try {
      return await this.#listener;
    } catch (error) {
      this.#listener = undefined;
      throw translate(error);
    }
  }

  /** Takes a lock that one session in the whole database may hold, or returns undefined when it is held. */
  async tryLock(key: string): Promise<AdvisoryLock | undefined> {
    return await AdvisoryLock.tryAcquire(this.#url, key);
  }

  async close(): Promise<void> {
    await (await this.#listener)?.close();
    await this.#client.$disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function isRetryable(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    // P2034: write conflict or deadlock; P2010: a raw query failed, with PostgreSQL's code in the message.
    return (
      error.code === 'P2034' ||
      (error.code === 'P2010' && /40P01|40001/.test(JSON.stringify(error.meta) + error.message))
    );
  }
  return false;
}

/**
 * What says that the database is out of reach or too busy to answer in time, by the codes of Node, Prisma (P1001, P1008,
 * P1017: no connection; P2024, P2028: no connection or transaction in time; P2037: too many) and PostgreSQL.
 */
const UNREACHABLE =
  /ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|EPIPE|Can't reach database|timeout exceeded when trying to connect|Connection terminated|P1001|P1008|P1017|P2024|P2028|P2037|57P0[123]|53300|the database system is/;

function translate(error: unknown): unknown {
  if (error instanceof ClipyardError || !(error instanceof Error)) return error;
  const { code } = error as { code?: string };
  const text = `${code ?? ''} ${error.message} ${error.cause instanceof Error ? error.cause.message : ''}`;
  if (!UNREACHABLE.test(text)) return error;
  return new ClipyardError(
    'database_unavailable',
    `The database is out of reach: ${error.message.trim().split('\n').at(-1)}`,
    {
      cause: error,
    },
  );
}
