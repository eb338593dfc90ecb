import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { parseRunSpec, type RunSpec, type RunSpecInput } from '@clipyard/contracts';
import { bootTestDatabase, type Database, openDatabase, type TestDatabase } from '@clipyard/db';
import { MessageBus } from '@clipyard/queue';
import { createLogger, freePort, Lifecycle } from '@clipyard/runtime';
import type { ControlPlane, Fence, NodeControl, NodeLease, NodeMessage } from './control-plane.js';
import { createControlPlane } from './create-control-plane.js';
import { createNodeControl } from './create-node-control.js';
import { createScheduler, type Scheduler } from './scheduler.js';

/** For the tests of this package: the control plane on real servers. */

export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

export interface Servers {
  readonly database: TestDatabase;
  readonly redisUrl?: string;
  close(): Promise<void>;
}

export async function startServers(kind: 'postgres' | 'redis'): Promise<Servers> {
  const lifecycle = new Lifecycle();
  const database = lifecycle.use('postgres', await bootTestDatabase());
  const close = (): Promise<void> => lifecycle.close();
  if (kind === 'postgres') return { database, close };
  const port = await freePort();
  const redis = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', '/'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  lifecycle.add('redis', async () => {
    redis.kill();
    await once(redis, 'exit');
  });
  for await (const chunk of redis.stdout) if (String(chunk).includes('Ready to accept')) break;
  return { database, redisUrl: `redis://127.0.0.1:${port}`, close };
}

/** One process's share of the control plane. */
export class Harness {
  readonly database: Database;
  readonly bus: MessageBus;
  readonly plane: ControlPlane;
  readonly nodes: NodeControl;
  /** What the bus complained of. */
  readonly problems: readonly string[];
  readonly #lifecycle: Lifecycle;

  private constructor(database: Database, bus: MessageBus, problems: readonly string[], lifecycle: Lifecycle) {
    this.database = database;
    this.bus = bus;
    this.problems = problems;
    this.#lifecycle = lifecycle;
    this.plane = createControlPlane({ database, bus }, { storageUrl: 'file:///store' });
    this.nodes = createNodeControl({ database, bus }, { leaseMs: 60_000 });
  }

  static async open(servers: Servers): Promise<Harness> {
    const lifecycle = new Lifecycle();
    const { url } = servers.database;
    const database = lifecycle.use('database', await openDatabase({ url }));
    const problems: string[] = [];
    const choice = { databaseUrl: url, ...(servers.redisUrl === undefined ? {} : { redisUrl: servers.redisUrl }) };
    const onError = (error: Error): void => void problems.push(error.message);
    const bus = lifecycle.use('bus', await MessageBus.open({ onError }, choice));
    return new Harness(database, bus, problems, lifecycle);
  }

  async scheduler(): Promise<Scheduler> {
    const logger = createLogger({ name: 'scheduler', level: 'error' });
    const scheduler = createScheduler(
      { database: this.database, bus: this.bus, logger },
      { pollMs: 200, standbyMs: 100 },
    );
    this.#lifecycle.add('scheduler', () => scheduler.close());
    await scheduler.start();
    return scheduler;
  }

  /** A node whose messages are collected. */
  async node(name: string, slots: number, pool = 'default', engines = ['cpu']): Promise<TestNode> {
    const registration = { name, pool, host: 'localhost', version: '0.1.0', engines, slots };
    const lease = await this.nodes.register(registration);
    const messages: NodeMessage[] = [];
    await this.nodes.consume(lease.nodeId, async (message) => void messages.push(message));
    return { nodeId: lease.nodeId, lease, messages };
  }

  /** Takes all ranks of an attempt to a state that is not final. */
  async advance(fence: Fence, worldSize: number, to: 'launching' | 'connecting' | 'training'): Promise<void> {
    const path = ['launching', 'connecting', 'compiling', 'training'] as const;
    for (let rank = 0; rank < worldSize; rank++) {
      for (const state of path.slice(0, path.indexOf(to) + 1)) {
        await this.nodes.recordRankState({ ...fence, rank }, state, { pid: 1, host: 'localhost', port: 9000 + rank });
      }
    }
  }

  async close(): Promise<void> {
    await this.#lifecycle.close();
  }
}

export interface TestNode {
  readonly nodeId: string;
  readonly lease: NodeLease;
  readonly messages: NodeMessage[];
}

export function spec(input: { min?: number; max?: number; priority?: number } & Partial<RunSpecInput> = {}): RunSpec {
  const { min = 1, max = min, priority = 50, ...rest } = input;
  return parseRunSpec({
    version: 1,
    name: 'test',
    model: { preset: 'clip-tiny' },
    data: { train: { type: 'shapes' } },
    batch: { global: 64 },
    duration: { steps: 100 },
    resources: { world: { min, max }, priority },
    ...rest,
  });
}
