import { ClipyardError } from '@clipyard/contracts';
import { dropUnheardErrors } from '@clipyard/runtime';
import { createPostgresBackend, type Job, Queue, runMigrations, Worker, type WorkerOptions, withBackend } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';

/** Redis when `redisUrl` is given, else Postgres. */
export interface BackendChoice {
  readonly databaseUrl: string;
  readonly redisUrl?: string;
}

export interface QueueBackend {
  readonly kind: 'redis' | 'postgres';
  createQueue(name: string): Queue;
  createWorker(name: string, process: (job: Job) => Promise<void>, options: Omit<WorkerOptions, 'connection'>): Worker;
  /** After its queues and workers have been closed. */
  close(): Promise<void>;
}

/** BullMQ stops listening to a client before it ends it, and its pool listens to idle ones only. */
const SteadyClient = dropUnheardErrors(pg.Client);
/** BullMQ's schema in Postgres. */
const SCHEMA = 'bullmq';
/** Keys of ours in a Redis that others may use too. */
const REDIS_PREFIX = 'clipyard';
/** Time to connect to Redis, ms. */
const CONNECT_TIMEOUT_MS = 10_000;

export async function chooseBackend(choice: BackendChoice): Promise<QueueBackend> {
  return choice.redisUrl === undefined
    ? await postgresBackend(choice.databaseUrl)
    : await redisBackend(choice.redisUrl);
}

async function redisBackend(url: string): Promise<QueueBackend> {
  const probe = new Redis(url, { lazyConnect: true, connectTimeout: CONNECT_TIMEOUT_MS, retryStrategy: () => null });
  let failure: Error | undefined;
  probe.on('error', (error) => {
    failure = error;
  });
  try {
    await probe.connect();
    await probe.ping();
  } catch (error) {
    const reason = failure?.message ?? (error as Error).message;
    throw new ClipyardError('database_unavailable', `REDIS_URL: Redis is out of reach: ${reason}`, { cause: error });
  } finally {
    probe.disconnect();
  }
  const connection = { url, maxRetriesPerRequest: null, connectTimeout: CONNECT_TIMEOUT_MS };
  return {
    kind: 'redis',
    createQueue: (name) => new Queue(name, { connection, prefix: REDIS_PREFIX }),
    createWorker: (name, process, options) =>
      new Worker(name, process, { connection, prefix: REDIS_PREFIX, ...options }),
    close: async () => {},
  };
}

async function postgresBackend(url: string): Promise<QueueBackend> {
  const client = new SteadyClient({ connectionString: url });
  try {
    await client.connect();
    await runMigrations(client, SCHEMA);
  } catch (error) {
    throw new ClipyardError(
      'database_unavailable',
      `DATABASE_URL: the queue cannot use it: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  } finally {
    await client.end();
  }
  const OnPostgres = withBackend(createPostgresBackend);
  const pools: pg.Pool[] = [];
  // One client listens for as long as its queue or worker lives; BullMQ's statements name no schema.
  const newPool = (): pg.Pool => {
    const pool = new pg.Pool({
      connectionString: url,
      max: 3,
      keepAlive: true,
      options: `-c search_path=${SCHEMA}`,
      Client: SteadyClient,
    });
    pools.push(pool);
    return pool;
  };
  return {
    kind: 'postgres',
    createQueue: (name) => new OnPostgres.Queue(name, { connection: newPool() }) as unknown as Queue,
    createWorker: (name, process, options) =>
      new OnPostgres.Worker(name, process, { connection: newPool(), ...options }) as unknown as Worker,
    close: async () => void (await Promise.all(pools.map((pool) => pool.end()))),
  };
}
