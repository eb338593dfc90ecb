import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Job, parseRunSpec, type RunSpec } from '@clipyard/contracts';
import {
  type ControlPlane,
  createControlPlane,
  createNodeControl,
  createScheduler,
  type NodeControl,
} from '@clipyard/control';
import { bootTestDatabase, openDatabase, type TestDatabase } from '@clipyard/db';
import { MessageBus } from '@clipyard/queue';
import { createLogger, Lifecycle } from '@clipyard/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Agent } from './agent.js';

/** The agent with real ranks, on a real control plane. The ranks run what `npm run build` made. */
const RANK_SCRIPT = fileURLToPath(new URL('../dist/rank-main.js', import.meta.url));
const WAIT = { timeout: 25_000, interval: 50 };
const logger = createLogger({ name: 'test', level: 'error' });

let postgres: TestDatabase;
let home: string;
let lifecycle: Lifecycle;
let plane: ControlPlane;
let agent: Agent;

beforeAll(async () => {
  postgres = await bootTestDatabase();
  home = await mkdtemp(join(tmpdir(), 'clipyard-agent-'));
});
afterAll(async () => {
  await postgres?.close();
  await rm(home, { recursive: true, force: true });
});
beforeEach(async () => {
  await postgres.reset();
  lifecycle = new Lifecycle();
  const database = lifecycle.use('database', await openDatabase({ url: postgres.url }));
  const onError = (error: Error) => logger.error({ err: error }, 'queue');
  const bus = lifecycle.use('bus', await MessageBus.open({ onError }, { databaseUrl: postgres.url }));
  plane = createControlPlane({ database, bus });
  const scheduler = lifecycle.use('scheduler', createScheduler({ database, bus, logger }, { pollMs: 200 }));
  await scheduler.start();
  agent = lifecycle.use('agent', await startAgent(createNodeControl({ database, bus })));
});
afterEach(() => lifecycle.close());

function startAgent(control: NodeControl, rankScript = RANK_SCRIPT): Promise<Agent> {
  return Agent.start(
    { control, logger },
    {
      registration: { name: 'a', pool: 'default', host: '127.0.0.1', version: '0', engines: ['onnxruntime'], slots: 2 },
      process: {
        script: rankScript,
        environment: { PATH: process.env.PATH },
        stopGraceMs: 20_000,
        killGraceMs: 1_000,
      },
      place: {
        storageUrl: pathToFileURL(join(home, 'storage')).href,
        dataDir: join(home, 'data'),
        cacheDir: join(home, 'cache'),
        listenHost: '127.0.0.1',
        advertiseHost: '127.0.0.1',
        threads: 1,
      },
    },
  );
}

function spec(steps: number, world = 2): RunSpec {
  return parseRunSpec({
    version: 1,
    name: 'agent',
    model: { preset: 'clip-tiny' },
    data: { train: { type: 'shapes', samples: 1000 } },
    batch: { global: 32 },
    duration: { steps },
    resources: { world: { min: world, max: world } },
    checkpoint: { everySteps: 5 },
  });
}

async function reach(jobId: string, fits: (job: Job) => boolean): Promise<Job> {
  await expect.poll(async () => fits(await plane.getJob(jobId)), WAIT).toBe(true);
  return await plane.getJob(jobId);
}

const pidsOf = async (jobId: string): Promise<number[]> =>
  (await plane.listAttempts(jobId))[0]!.ranks.map(({ pid }) => pid!);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ESRCH');
    return false;
  }
}

describe('Agent', () => {
  it('runs the ranks of a job and carries their reports', async () => {
    const { job } = await plane.submitJob(spec(12));
    const done = await reach(job.id, ({ state }) => state === 'succeeded' || state === 'failed');
    expect(done).toMatchObject({ state: 'succeeded', step: 12, totalSteps: 12, epoch: 1, error: null });
    const [attempt] = await plane.listAttempts(job.id);
    expect(attempt!.ranks.map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);
    expect((await plane.listCheckpoints(job.id)).map(({ step }) => step).sort()).toContain(12);
    const names = new Set((await plane.listMetrics(job.id, { limit: 1000 })).map(({ name }) => name));
    expect([...names]).toEqual(expect.arrayContaining(['loss', 'rank/0/rss_mib', 'rank/1/rss_mib']));
    await expect.poll(() => agent.ranks.length, WAIT).toBe(0);
  });

  it('tells how a killed rank ended, and the job goes on in the next attempt', async () => {
    const { job } = await plane.submitJob(spec(60));
    await expect.poll(async () => (await plane.listCheckpoints(job.id)).length, WAIT).toBeGreaterThan(0);
    process.kill((await pidsOf(job.id))[1]!, 'SIGKILL');
    const done = await reach(job.id, ({ state }) => state === 'succeeded' || state === 'failed');
    expect(done).toMatchObject({ state: 'succeeded', epoch: 2, restarts: { infrastructure: 1, user: 0 } });
    const [second, first] = await plane.listAttempts(job.id);
    expect(first!.error).toMatchObject({ code: 'rank_lost', message: expect.stringContaining('SIGKILL') });
    expect(first!.ranks[0]).toMatchObject({ state: 'failed', error: { code: 'link_closed' } });
    expect(second!.startStep).toBeGreaterThan(0);
  });

  it('says what a rank said when it failed', async () => {
    const { job } = await plane.submitJob({
      ...spec(5, 1),
      data: {
        ...spec(5).data,
        train: {
          type: 'csv',
          urls: ['no-such.tsv'],
          separator: '\t',
          imageColumn: 'a',
          captionColumn: 'b',
          maxBadFraction: 0,
        },
      },
    });
    const done = await reach(job.id, ({ state }) => state === 'failed');
    expect(done.error).toMatchObject({ code: 'data_not_found' });
  });

  it('ends the ranks of a cancelled job', async () => {
    const { job } = await plane.submitJob(spec(100_000));
    await reach(job.id, ({ step }) => step > 0);
    const pids = await pidsOf(job.id);
    await plane.cancelJob(job.id);
    await expect.poll(() => agent.ranks.length, WAIT).toBe(0);
    expect(pids.some(isAlive)).toBe(false);
    const [node] = await plane.listNodes();
    expect(node!.slots.every(({ jobId }) => jobId === null)).toBe(true);
  });

  it('drains: ranks stop after their step, their ends are recorded, the node goes out of service', async () => {
    const { job } = await plane.submitJob(spec(100_000));
    await reach(job.id, ({ step }) => step > 0);
    await agent.close();
    const [attempt] = await plane.listAttempts(job.id);
    expect(attempt).toMatchObject({ state: 'stopped', error: null });
    expect(attempt!.ranks.map(({ state }) => state)).toEqual(['stopped', 'stopped']);
    expect((await plane.listNodes())[0]!.state).toBe('stopped');
    expect(await plane.getJob(job.id)).toMatchObject({ restarts: { infrastructure: 0, user: 0 } });
  });
});
