import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Job, parseRunSpec, type RunSpec } from '@clipyard/contracts';
import { type ControlPlane, createControlPlane, createNodeControl, createScheduler } from '@clipyard/control';
import { bootTestDatabase, openDatabase, type TestDatabase } from '@clipyard/db';
import { MessageBus } from '@clipyard/queue';
import { createLogger, Lifecycle, sleep } from '@clipyard/runtime';
import { openBlobStore } from '@clipyard/storage';
import { Agent } from './agent.js';

/** For the tests of this app: a real control plane, agents, and ranks that run what `npm run build` made. */
const logger = createLogger({ name: 'test', level: 'error' });
/** Generous: the tests share two cores with whatever else runs. */
export const PATIENCE_MS = 90_000;
const POLL_MS = 50;

/** Servers that the tests of a file share. */
export interface Servers {
  readonly postgres: TestDatabase;
  /** Storage, data and cache lie in it. */
  readonly home: string;
  close(): Promise<void>;
}

export async function startServers(): Promise<Servers> {
  const lifecycle = new Lifecycle();
  const postgres = lifecycle.use('postgres', await bootTestDatabase());
  const home = await mkdtemp(join(tmpdir(), 'clipyard-worker-'));
  lifecycle.add('home', () => rm(home, { recursive: true }));
  return { postgres, home, close: () => lifecycle.close() };
}

export class AgentHarness {
  readonly plane: ControlPlane;
  readonly #servers: Servers;
  readonly #lifecycle: Lifecycle;

  private constructor(servers: Servers, lifecycle: Lifecycle, plane: ControlPlane) {
    this.#servers = servers;
    this.#lifecycle = lifecycle;
    this.plane = plane;
  }

  /** An empty database with a scheduler. */
  static async open(servers: Servers): Promise<AgentHarness> {
    await servers.postgres.reset();
    const lifecycle = new Lifecycle();
    const parts = await connect(servers.postgres.url, lifecycle);
    const store = await openBlobStore(storageUrlOf(servers));
    const scheduler = lifecycle.use('scheduler', createScheduler({ ...parts, logger, store }, { pollMs: 200 }));
    await scheduler.start();
    return new AgentHarness(servers, lifecycle, createControlPlane(parts));
  }

  /** An agent with two slots that reaches the database by `databaseUrl`. */
  async agent({ databaseUrl = this.#servers.postgres.url, leaseMs = 10_000 } = {}): Promise<Agent> {
    const { home } = this.#servers;
    const control = createNodeControl(await connect(databaseUrl, this.#lifecycle), { leaseMs });
    const engines = ['onnxruntime'];
    const options = {
      registration: { name: 'a', pool: 'default', host: '127.0.0.1', version: '0', engines, slots: 2 },
      process: {
        script: fileURLToPath(new URL('../dist/rank-main.js', import.meta.url)),
        environment: {},
        stopGraceMs: 20_000,
        saveGraceMs: 20_000,
        killGraceMs: 1_000,
      },
      place: {
        storageUrl: storageUrlOf(this.#servers),
        dataDir: join(home, 'data'),
        cacheDir: join(home, 'cache'),
        listenHost: '127.0.0.1',
        advertiseHost: '127.0.0.1',
        threads: 1,
      },
    };
    return this.#lifecycle.use('agent', await Agent.start({ control, logger }, options));
  }

  /** Resolves with the job once it fits; throws when it does not in time, or fails meanwhile. */
  async reach(jobId: string, what: string, fits: (job: Job) => boolean): Promise<Job> {
    for (const limit = Date.now() + PATIENCE_MS; Date.now() < limit; await sleep(POLL_MS)) {
      const job = await this.plane.getJob(jobId);
      if (fits(job)) return job;
      if (job.state === 'failed') throw new Error(`the job failed: ${job.error?.message}`);
    }
    throw new Error(`not in time: ${what}; the job is ${JSON.stringify(await this.plane.getJob(jobId))}`);
  }

  /** Process ids of the newest attempt, by rank. */
  async pidsOf(jobId: string): Promise<number[]> {
    const [attempt] = await this.plane.listAttempts(jobId);
    return attempt!.ranks.map(({ pid }) => pid!);
  }

  close(): Promise<void> {
    return this.#lifecycle.close();
  }
}

const storageUrlOf = ({ home }: Servers): string => pathToFileURL(join(home, 'storage')).href;

async function connect(databaseUrl: string, lifecycle: Lifecycle) {
  const database = lifecycle.use('database', await openDatabase({ url: databaseUrl }));
  const onError = (error: Error) => logger.warn({ err: error }, 'queue');
  const bus = lifecycle.use('bus', await MessageBus.open({ onError }, { databaseUrl }));
  return { database, bus };
}

/** A small run; `checkpoint.everySteps` is 5. */
export function spec(steps: number, changes: Partial<Record<keyof RunSpec, unknown>> = {}): RunSpec {
  return parseRunSpec({
    version: 1,
    name: 'agent',
    model: { preset: 'clip-tiny' },
    data: { train: { type: 'shapes', samples: 1000 } },
    batch: { global: 32 },
    duration: { steps },
    resources: { world: { min: 2, max: 2 } },
    checkpoint: { everySteps: 5 },
    ...changes,
  });
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
