import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkpointSchema, jobSchema, metricPointSchema, type RunSpecInput } from '@clipyard/contracts';
import { Lifecycle } from '@clipyard/runtime';
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from 'testcontainers';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { appMain, TestProcess } from './test-process.js';

const STEPS = 60;
const SPEC: RunSpecInput = {
  version: 1,
  name: 'containers',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes', samples: 1000 }, eval: { type: 'shapes', seed: 1, split: 'all', samples: 256 } },
  batch: { global: 32 },
  duration: { steps: STEPS },
  resources: { world: { min: 2, max: 2 } },
  optimizer: { lr: 1e-3 },
  schedule: { warmupSteps: 20 },
  checkpoint: { everySteps: 30, keepLast: 5 },
  evaluate: { tasks: [{ type: 'zeroshot' }] },
};

test('a job goes through Postgres and Redis in containers', { timeout: 300_000 }, async ({
  skip,
  signal,
  onTestFailed,
}) => {
  const reason = await whyNoDocker();
  skip(reason !== undefined, `no Docker here: ${reason}`);
  await using lifecycle = new Lifecycle();
  const [postgres, redis] = await Promise.all([startPostgres(lifecycle), startRedis(lifecycle)]);
  const home = await mkdtemp(join(tmpdir(), 'clipyard-containers-'));
  lifecycle.add('home', () => rm(home, { recursive: true, force: true }));
  const env = {
    ...process.env,
    CLIPYARD_HOME: home,
    DATABASE_URL: `postgresql://clipyard:secret@${postgres.getHost()}:${postgres.getMappedPort(5432)}/clipyard`,
    REDIS_URL: `redis://${redis.getHost()}:${redis.getMappedPort(6379)}`,
    STORAGE_URL: `file:${join(home, 'storage')}`,
  };

  const api = await TestProcess.start(appMain('api'), ['--migrate'], { ...env, HOST: '127.0.0.1', PORT: '0' });
  lifecycle.add('API', async () => void (await api.stop()));
  const { url } = z.object({ url: z.url() }).parse(await api.announced);
  const worker = await TestProcess.start(appMain('worker'), [], { ...env, CLIPYARD_SLOTS: '2', CLIPYARD_THREADS: '1' });
  lifecycle.add('worker', async () => void (await worker.stop()));
  onTestFailed(() => console.error(`API:\n${api.output}\nworker:\n${worker.output}`));

  const get = async <S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S>> => {
    const response = await fetch(`${url}${path}`, { signal });
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return schema.parse(await response.json());
  };
  const response = await fetch(`${url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(SPEC),
    signal,
  });
  const { id } = jobSchema.parse(await response.json());
  // The event stream ends when the job has.
  await (await fetch(`${url}/v1/jobs/${id}/events`, { signal })).text();

  const job = await get(`/v1/jobs/${id}`, jobSchema);
  expect(job).toMatchObject({ state: 'succeeded', error: null, step: STEPS, worldSize: 2, epoch: 1 });
  expect(job.latest['eval/zeroshot/top1']).toBeGreaterThan(0);

  const losses = await get(`/v1/jobs/${id}/metrics?name=loss`, z.object({ items: z.array(metricPointSchema) }));
  expect(losses.items.at(-1)?.step).toBe(STEPS);
  // An untrained model has about ln 32: it guesses within the batch.
  expect(losses.items.at(-1)?.value).toBeLessThan(0.9 * Math.log(32));

  const { items } = await get(`/v1/jobs/${id}/checkpoints`, z.object({ items: z.array(checkpointSchema) }));
  expect(items.map(({ step }) => step).sort((a, b) => a - b)).toEqual([30, STEPS]);
  for (const file of items.flatMap(({ step, files }) => files.map((entry) => ({ ...entry, step })))) {
    const bytes = await readFile(join(home, 'storage', 'runs', id, `step-${file.step}`, file.name));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(file.sha256);
  }

  // The messages went through Redis, not through Postgres.
  expect((await redis.exec(['redis-cli', '--scan', '--pattern', '*scheduler*'])).output.trim()).not.toBe('');
  const psql = ['psql', '-U', 'clipyard', '-tAc', "SELECT to_regnamespace('bullmq') IS NULL"];
  expect((await postgres.exec(psql)).output.trim()).toBe('t');

  expect(await worker.stop()).toMatchObject({ code: 0 });
  expect(await api.stop()).toMatchObject({ code: 0 });
});

async function whyNoDocker(): Promise<string | undefined> {
  try {
    await getContainerRuntimeClient();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function startPostgres(lifecycle: Lifecycle): Promise<StartedTestContainer> {
  const container = await new GenericContainer('postgres:17')
    .withEnvironment({ POSTGRES_USER: 'clipyard', POSTGRES_PASSWORD: 'secret', POSTGRES_DB: 'clipyard' })
    .withExposedPorts(5432)
    // Over TCP, where the server that initialises the data directory does not listen.
    .withWaitStrategy(Wait.forSuccessfulCommand('pg_isready -h 127.0.0.1 -U clipyard'))
    .start();
  lifecycle.add('Postgres', async () => void (await container.stop()));
  return container;
}

async function startRedis(lifecycle: Lifecycle): Promise<StartedTestContainer> {
  const container = await new GenericContainer('redis:7')
    .withExposedPorts(6379)
    .withWaitStrategy(Wait.forSuccessfulCommand('redis-cli ping'))
    .start();
  lifecycle.add('Redis', async () => void (await container.stop()));
  return container;
}
