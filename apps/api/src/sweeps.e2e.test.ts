import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  checkpointSchema,
  jobSchema,
  type Sweep,
  type SweepSpecInput,
  sweepSchema,
  trialSchema,
} from '@clipyard/contracts';
import { bootTestDatabase } from '@clipyard/db';
import { Lifecycle, sleep } from '@clipyard/runtime';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { appMain, TestProcess } from './test-process.js';

/** Real processes and training: a small model that compiles in no time. */
const SWEEP: SweepSpecInput = {
  version: 1,
  name: 'asha',
  base: {
    version: 1,
    model: {
      config: {
        embed_dim: 16,
        quick_gelu: true,
        vision_cfg: { image_size: 16, layers: 1, width: 16, patch_size: 8, head_width: 8 },
        text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1 },
      },
    },
    data: { train: { type: 'shapes', samples: 400 } },
    batch: { global: 16 },
    // 10, 20 and 40 steps.
    duration: { samples: 640 },
    checkpoint: { everySteps: 1000 },
  },
  parameters: { 'optimizer.lr': { type: 'choice', values: [1e-6, 1e-2, 1e-3, 3e-3, 1e-5] } },
  search: { type: 'grid' },
  halving: { first: { samples: 160 }, eta: 2 },
  objective: { metric: 'loss', goal: 'min' },
  maxConcurrent: 2,
};

test('a sweep goes on when the control plane is killed; promoted trials end as if never stopped', {
  timeout: 400_000,
}, async ({ signal, onTestFailed }) => {
  await using lifecycle = new Lifecycle();
  const database = lifecycle.use('database', await bootTestDatabase());
  const home = await mkdtemp(join(tmpdir(), 'clipyard-sweep-'));
  lifecycle.add('home', () => rm(home, { recursive: true, force: true }));
  const env = {
    ...process.env,
    CLIPYARD_HOME: home,
    DATABASE_URL: database.url,
    STORAGE_URL: `file:${join(home, 'storage')}`,
    HOST: '127.0.0.1',
    PORT: '0',
    CLIPYARD_SLOTS: '2',
    CLIPYARD_THREADS: '1',
  };
  let url = '';
  const startApi = async () => {
    const api = await TestProcess.start(appMain('api'), [], env);
    lifecycle.add('API', async () => void (await api.stop()));
    url = z.object({ url: z.url() }).parse(await api.announced).url;
    onTestFailed(() => console.error(api.output));
    return api;
  };
  const request = async <S extends z.ZodType>(schema: S, path: string, body?: unknown): Promise<z.infer<S>> => {
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(url + path, { signal, ...(body === undefined ? {} : post) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return schema.parse(await response.json());
  };
  const list = <S extends z.ZodType>(schema: S) => z.object({ items: z.array(schema) });
  const until = async <T>(look: () => Promise<T>, fits: (seen: T) => boolean): Promise<T> => {
    for (let seen = await look(); ; seen = await look()) {
      if (fits(seen)) return seen;
      await sleep(100, { signal });
    }
  };

  const first = await startApi();
  const worker = await TestProcess.start(appMain('worker'), [], env);
  lifecycle.add('worker', async () => void (await worker.stop()));
  onTestFailed(() => console.error(worker.output));
  const { id } = await request(sweepSchema, '/v1/sweeps', SWEEP);
  const trials = async () => (await request(list(trialSchema), `/v1/sweeps/${id}/trials`)).items;
  await until(trials, (all) => all.filter(({ results }) => results.length > 0).length >= 2);
  await first.stop('SIGKILL');
  await sleep(1000, { signal });
  await startApi();
  const sweep: Sweep = await until(
    () => request(sweepSchema, `/v1/sweeps/${id}`),
    ({ state }) => state !== 'running',
  );

  const done = await trials();
  expect(sweep, JSON.stringify(done)).toMatchObject({
    state: 'succeeded',
    rungs: [{ samples: 160 }, { samples: 320 }, { samples: 640 }],
  });
  expect(done.every(({ results, state }) => results.length > 0 && ['succeeded', 'stopped'].includes(state))).toBe(true);
  const jobs = (await request(list(jobSchema), '/v1/jobs?limit=100')).items;
  expect(jobs).toHaveLength(5);
  expect(jobs.every(({ restarts, error }) => restarts.infrastructure + restarts.user === 0 && error === null)).toBe(
    true,
  );
  const best = done[sweep.best!.index]!;
  expect(best).toMatchObject({ state: 'succeeded', step: 40, jobState: 'succeeded' });
  expect(best.results.map(({ step }) => step)).toEqual([10, 20, 40]);
  // The same run in one go gives the same weights, bit for bit.
  const { spec } = jobs.find((job) => job.id === best.jobId)!;
  const whole = await request(jobSchema, '/v1/jobs', { ...spec, name: 'whole' });
  await until(
    () => request(jobSchema, `/v1/jobs/${whole.id}`),
    ({ state }) => state === 'succeeded' || state === 'failed',
  );
  const weights = async (jobId: string) => {
    const { items } = await request(list(checkpointSchema), `/v1/jobs/${jobId}/checkpoints`);
    const last = items.find(({ step }) => step === 40);
    return last?.files.find(({ name }) => name === 'model.safetensors')?.sha256;
  };
  expect(await weights(whole.id)).toMatch(/^[0-9a-f]{64}$/);
  expect(await weights(best.jobId!)).toBe(await weights(whole.id));
});
