import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attemptSchema, type BlobStore, checkpointSchema, jobSchema, type RunSpecInput } from '@clipyard/contracts';
import { encodePng, openDataset, type PackSample, packShards } from '@clipyard/data';
import { bootTestDatabase } from '@clipyard/db';
import { Lifecycle, sleep } from '@clipyard/runtime';
import { openBlobStore } from '@clipyard/storage';
import { startS3Server } from '@clipyard/testkit';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { appMain, TestProcess } from './test-process.js';

const STEPS = 40;
const SAMPLES = 200;
const SIZE = 32;
const SHARDS = 's3://clipyard/shards/train-{00000..00003}.tar';

const SPEC: RunSpecInput = {
  version: 1,
  name: 's3',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'webdataset', urls: [SHARDS] } },
  batch: { global: 32 },
  duration: { steps: STEPS },
  resources: { world: { min: 2, max: 2 } },
  schedule: { warmupSteps: 5 },
  checkpoint: { everySteps: 10, keepLast: 2 },
};

test('two ranks train from shards in S3 into S3, one is killed, and the job goes on from there', {
  timeout: 300_000,
}, async ({ signal, onTestFailed }) => {
  await using lifecycle = new Lifecycle();
  const [server, database] = await Promise.all([startS3Server(), bootTestDatabase()]);
  lifecycle.add('S3', () => server.close());
  lifecycle.use('database', database);
  const home = await mkdtemp(join(tmpdir(), 'clipyard-s3-e2e-'));
  lifecycle.add('home', () => rm(home, { recursive: true, force: true }));
  for (const [name, value] of Object.entries(server.environment)) vi.stubEnv(name, value);
  lifecycle.add('environment', async () => void vi.unstubAllEnvs());
  const shards = await openBlobStore(server.url('shards'));
  await putShards(shards, home);
  const store = await openBlobStore(server.url('checkpoints'));

  const env = {
    ...process.env,
    CLIPYARD_HOME: home,
    CLIPYARD_DATA_DIR: join(home, 'nothing-here'),
    CLIPYARD_DATA_S3: server.url('shards'),
    CLIPYARD_SLOTS: '2',
    CLIPYARD_THREADS: '1',
    DATABASE_URL: database.url,
    STORAGE_URL: server.url('checkpoints'),
    HOST: '127.0.0.1',
    PORT: '0',
  };
  const api = await TestProcess.start(appMain('api'), ['--migrate'], env);
  lifecycle.add('API', async () => void (await api.stop()));
  const { url } = z.object({ url: z.url() }).parse(await api.announced);
  const worker = await TestProcess.start(appMain('worker'), [], env);
  lifecycle.add('worker', async () => void (await worker.stop()));
  onTestFailed(() => console.error(`API:\n${api.output}\nworker:\n${worker.output}`));

  /** Every text that the API answered. */
  const answers: string[] = [];
  const request = async <S extends z.ZodType>(schema: S, path: string, body?: unknown): Promise<z.infer<S>> => {
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(url + path, { signal, ...(body === undefined ? {} : post) });
    const text = await response.text();
    answers.push(text);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return schema.parse(JSON.parse(text));
  };
  const items = async <S extends z.ZodType>(schema: S, path: string): Promise<z.infer<S>[]> =>
    (await request(z.object({ items: z.array(schema) }), path)).items as z.infer<S>[];
  const ended = async (id: string) => {
    await (await fetch(`${url}/v1/jobs/${id}/events`, { signal })).text();
    return await request(jobSchema, `/v1/jobs/${id}`);
  };

  const { id } = await request(jobSchema, '/v1/jobs', SPEC);
  while ((await items(checkpointSchema, `/v1/jobs/${id}/checkpoints`)).length === 0) await sleep(100, { signal });
  const [running] = await items(attemptSchema, `/v1/jobs/${id}/attempts`);
  process.kill(running!.ranks[1]!.pid!, 'SIGKILL');
  expect(await ended(id)).toMatchObject({
    state: 'succeeded',
    epoch: 2,
    step: STEPS,
    restarts: { infrastructure: 1, user: 0 },
  });
  const [second] = await items(attemptSchema, `/v1/jobs/${id}/attempts`);
  expect(second!.startStep).toBeGreaterThanOrEqual(10);

  // What REST gives is what lies in the bucket, and nothing that retention let go lies there.
  const checkpoints = await items(checkpointSchema, `/v1/jobs/${id}/checkpoints`);
  expect(checkpoints.map(({ step }) => step).sort()).toEqual([30, STEPS]);
  const expected: string[] = [];
  for (const checkpoint of checkpoints) {
    const prefix = `runs/${id}/step-${checkpoint.step}`;
    expect(checkpoint.url).toBe(`s3://clipyard/checkpoints/${prefix}`);
    expected.push(`${prefix}/manifest.json`);
    for (const { name, sha256 } of checkpoint.files) {
      const response = await fetch(`${url}/v1/checkpoints/${checkpoint.id}/files/${name}`, { signal });
      expect(sha256Of(new Uint8Array(await response.arrayBuffer()))).toBe(sha256);
      expect(sha256Of(await store.read(`${prefix}/${name}`))).toBe(sha256);
      expected.push(`${prefix}/${name}`);
    }
  }
  const kept = await keysOf(store, `runs/${id}/`);
  const isOfTensorBoard = (key: string) => key.startsWith(`runs/${id}/tensorboard/`);
  expect(kept.filter((key) => !isOfTensorBoard(key))).toEqual(expected.sort());
  expect(kept.some(isOfTensorBoard)).toBe(true);

  // Another job starts from it, and what it asks for in vain is said with a remedy.
  const one = { duration: { steps: 2 }, resources: { world: { min: 1, max: 1 } } };
  const next = await request(jobSchema, '/v1/jobs', {
    ...SPEC,
    ...one,
    model: { preset: 'clip-tiny', init: `job:${id}` },
  });
  expect(await ended(next.id)).toMatchObject({ state: 'succeeded', error: null });
  const outside = { train: { type: 'webdataset', urls: ['s3://clipyard/checkpoints/a.tar'] } };
  const refused = await request(jobSchema, '/v1/jobs', { ...SPEC, ...one, data: outside });
  expect((await ended(refused.id)).error).toMatchObject({
    code: 'spec_invalid',
    message: expect.stringContaining('CLIPYARD_DATA_S3'),
  });

  // The indices of the shards lie with the checkpoints, for other hosts.
  expect((await keysOf(store, 'tar-index/')).length).toBe(4);
  await request(z.unknown(), `/v1/jobs/${id}/logs`);
  const { AWS_SECRET_ACCESS_KEY } = server.environment;
  expect([...answers, api.output, worker.output].filter((text) => text.includes(AWS_SECRET_ACCESS_KEY))).toEqual([]);
  expect(await worker.stop()).toMatchObject({ code: 0 });
  expect(await api.stop()).toMatchObject({ code: 0 });
});

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function keysOf(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}

/** Packs pictures of shapes, and puts the shards into the bucket. */
async function putShards(store: BlobStore, home: string): Promise<void> {
  const source = { type: 'shapes', samples: SAMPLES, seed: 1, split: 'all' } as const;
  const dataset = await openDataset(source, { dataDir: home, cacheDir: home, imageSize: SIZE });
  const samples = async function* (): AsyncGenerator<PackSample> {
    for (let i = 0; i < SAMPLES; i++) {
      const { pixels, caption } = await dataset.read(i);
      yield { key: String(i).padStart(4, '0'), image: await encodePng(pixels, SIZE), ext: 'png', caption };
    }
  };
  const folder = join(home, 'shards');
  await packShards({ samples: samples(), outDir: folder, name: 'train', shardSize: SAMPLES / 4 });
  for (const name of await readdir(folder)) await store.put(name, await readFile(join(folder, name)));
  await rm(folder, { recursive: true });
}
