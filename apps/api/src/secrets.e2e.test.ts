import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jobSchema, type RunSpecInput } from '@clipyard/contracts';
import { bootTestDatabase, openDatabase } from '@clipyard/db';
import { Lifecycle, sleep } from '@clipyard/runtime';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { appMain, TestProcess } from './test-process.js';

const SPEC: RunSpecInput = {
  version: 1,
  name: 'secrets',
  model: {
    config: {
      embed_dim: 16,
      quick_gelu: true,
      vision_cfg: { image_size: 16, layers: 1, width: 16, patch_size: 8, head_width: 8 },
      text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1 },
    },
  },
  data: { train: { type: 'shapes', samples: 64 } },
  batch: { global: 8 },
  duration: { steps: 3 },
  resources: { world: { min: 2, max: 2 } },
};

test('no secret of API, worker or ranks is in a list of processes, a log, an answer, a spec or a checkpoint', {
  timeout: 120_000,
}, async ({ signal, onTestFailed }) => {
  await using lifecycle = new Lifecycle();
  const booted = lifecycle.use('database', await bootTestDatabase());
  const home = await mkdtemp(join(tmpdir(), 'clipyard-secrets-'));
  lifecycle.add('home', () => rm(home, { recursive: true, force: true }));
  const mark = () => `mark${randomBytes(20).toString('hex')}`;
  const bootstrap = mark();
  const s3Secret = mark();
  const { password } = new URL(booted.url);
  expect(password.length).toBeGreaterThan(10);
  const env = {
    ...process.env,
    CLIPYARD_HOME: home,
    DATABASE_URL: booted.url,
    HOST: '127.0.0.1',
    PORT: '0',
    CLIPYARD_AUTH: 'token',
    CLIPYARD_BOOTSTRAP_TOKEN: bootstrap,
    AWS_SECRET_ACCESS_KEY: s3Secret,
    CLIPYARD_SLOTS: '2',
    CLIPYARD_THREADS: '1',
    CLIPYARD_LOG_LEVEL: 'debug',
  };
  const api = await TestProcess.start(appMain('api'), ['--role', 'all'], env);
  lifecycle.add('API', async () => void (await api.stop()));
  const worker = await TestProcess.start(appMain('worker'), [], { ...env, CLIPYARD_BOOTSTRAP_TOKEN: '' });
  lifecycle.add('worker', async () => void (await worker.stop()));
  onTestFailed(() => console.error(`API:\n${api.output}\nworker:\n${worker.output}`));
  const { url } = z.object({ url: z.url() }).parse(await api.announced);

  const answers: string[] = [];
  const ask = async (path: string, init: RequestInit = {}, token = bootstrap): Promise<string> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(url + path, { ...init, headers, signal });
    const text = await response.text();
    answers.push(text);
    return text;
  };
  const made = await fetch(`${url}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bootstrap}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'submitter', scopes: ['submit'] }),
  });
  const { token } = z.object({ token: z.string() }).parse(await made.json());
  const { id } = jobSchema.parse(
    JSON.parse(await ask('/v1/jobs', { method: 'POST', body: JSON.stringify(SPEC) }, token)),
  );

  const commandLines = new Set<string>();
  for (;;) {
    for (const line of await allCommandLines()) commandLines.add(line);
    const job = jobSchema.parse(JSON.parse(await ask(`/v1/jobs/${id}`, {}, token)));
    if (job.state === 'succeeded') break;
    expect(job.state, JSON.stringify(job.error)).not.toBe('failed');
    await sleep(50);
  }
  for (const part of ['', '/attempts', '/logs?limit=500', '/metrics', '/events', '/checkpoints'])
    await ask(`/v1/jobs/${id}${part}`);
  for (const path of ['/v1/nodes', '/v1/audit', '/v1/tokens', '/v1/whoami', '/metrics', '/readyz', '/v1/jobs/none'])
    await ask(path);
  await ask('/v1/jobs', {}, `${token}x`);

  await using database = await openDatabase({ url: booted.url });
  const { attempt, spec } = await database.read(async (db) => ({
    attempt: await db.attempts.find(id, 1),
    spec: JSON.stringify((await db.jobs.find(id))!.spec),
  }));
  const secrets = {
    password,
    bootstrap,
    s3Secret,
    token: token.split('_').slice(2).join('_'),
    attempt: attempt!.secret,
  };
  const places = {
    'a list of processes': [...commandLines],
    'the log of the API': [api.output],
    'the log of the worker': [worker.output],
    'an answer': answers,
    'a spec': [spec],
    'a file': await textsBelow(home),
  };
  expect([...commandLines].some((line) => line.includes('rank'))).toBe(true);
  for (const [secret, value] of Object.entries(secrets)) {
    expect(value.length).toBeGreaterThan(10);
    for (const [place, texts] of Object.entries(places))
      expect(
        texts.filter((text) => text.includes(value)),
        `${secret} in ${place}`,
      ).toEqual([]);
  }
});

/** What every user of this machine may read of its processes; nothing where there is no /proc. */
async function allCommandLines(): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  return await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
}

async function textsBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return await Promise.all(
    entries.filter((entry) => entry.isFile()).map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1')),
  );
}
