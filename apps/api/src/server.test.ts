import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type BlobStore,
  type Checkpoint,
  fieldError,
  type Job,
  type JobEvent,
  LIMITS,
  type Problem,
  problemSchema,
} from '@clipyard/contracts';
import { type ControlPlane, createControlPlane } from '@clipyard/control';
import { bootTestDatabase, type Database, openDatabase } from '@clipyard/db';
import { checkModel } from '@clipyard/model';
import { MessageBus } from '@clipyard/queue';
import { createLogger, Lifecycle, newId } from '@clipyard/runtime';
import { openBlobStore } from '@clipyard/storage';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildServer, listen } from './server.js';
import { localAdmission, withCalls } from './test-admission.js';
import { disagreements } from './test-contract.js';

const HEARTBEAT_MS = 100;
const lifecycle = new Lifecycle();
const logged: string[] = [];
let database: Database;
let control: ControlPlane;
let store: BlobStore;
let server: FastifyInstance;
let url: string;
let undocumented: readonly string[];

function build(plane = control): FastifyInstance {
  const logger = createLogger({ name: 'api', destination: { write: (line) => logged.push(line) } });
  const deps = {
    control: plane,
    admission: localAdmission,
    checkModel,
    store,
    logger,
    newRequestId: () => newId('req'),
  };
  return buildServer(deps, { heartbeatMs: HEARTBEAT_MS });
}

beforeAll(async () => {
  const booted = await bootTestDatabase();
  lifecycle.use('server of the database', booted);
  database = lifecycle.use('database', await openDatabase({ url: booted.url }));
  const onError = (error: Error) => logged.push(error.message);
  const bus = lifecycle.use('queue', await MessageBus.open({ onError }, { databaseUrl: booted.url }));
  control = createControlPlane({ database, bus }, { storageUrl: 'file:/somewhere' });
  const storage = await mkdtemp(join(tmpdir(), 'clipyard-api-'));
  lifecycle.add('storage', () => rm(storage, { recursive: true }));
  store = await openBlobStore(pathToFileURL(storage).href);
  server = build();
  undocumented = disagreements(server);
  lifecycle.add('API', () => server.close());
  url = await listen(server, { host: '127.0.0.1', port: 0 });
});

afterAll(async () => {
  await lifecycle.close();
  expect(undocumented, 'answers that the OpenAPI document does not describe').toEqual([]);
});

const spec = (changes: object = {}) => ({
  version: 1,
  name: 'a',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 8 },
  duration: { steps: 2 },
  ...changes,
});

function post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const content: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  return fetch(url + path, {
    method: 'POST',
    headers: { ...content, ...headers },
    ...(text === undefined ? {} : { body: text }),
  });
}

async function submit(changes: object = {}): Promise<Job> {
  const response = await post('/v1/jobs', spec(changes));
  expect(response.status).toBe(201);
  return (await response.json()) as Job;
}

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  const problem = problemSchema.parse(await response.json());
  expect(problem.status).toBe(response.status);
  expect(problem.requestId).toBe(response.headers.get('x-request-id'));
  return problem as Problem;
}

async function items<T>(path: string): Promise<T[]> {
  const page = (await (await fetch(url + path)).json()) as { items: T[]; nextCursor: unknown };
  expect(page.nextCursor).toBeNull();
  return page.items;
}

describe('jobs', () => {
  it('are created with defaults filled in, at a location', async () => {
    const response = await post('/v1/jobs', spec({ labels: { team: 'vision' } }));
    expect(response.status).toBe(201);
    const job = (await response.json()) as Job;
    expect(response.headers.get('location')).toBe(`/v1/jobs/${job.id}`);
    expect(job).toMatchObject({
      state: 'queued',
      labels: { team: 'vision' },
      spec: { seed: 0, optimizer: { lr: 5e-4 } },
    });
    expect(await (await fetch(url + response.headers.get('location'))).json()).toEqual(job);
  });

  it('are created once for one idempotency key, which is refused for another spec', async () => {
    const key = { 'idempotency-key': newId('key') };
    const first = await post('/v1/jobs', spec(), key);
    const again = await post('/v1/jobs', spec(), key);
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(((await again.json()) as Job).id).toBe(((await first.json()) as Job).id);
    const other = await problemOf(await post('/v1/jobs', spec({ name: 'b' }), key));
    expect(other).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    const invalid = await problemOf(await post('/v1/jobs', spec(), { 'idempotency-key': 'a b' }));
    expect(invalid).toMatchObject({ status: 400, errors: [{ path: 'Idempotency-Key', value: 'a b' }] });
  });

  it('are listed newest first, by label and state, page by page', async () => {
    const label = newId('l');
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await submit({ labels: { batch: label } })).id);
    await post(`/v1/jobs/${ids[0]}/cancel`);
    const found: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const query = `label=batch%3D${label}&state=queued&limit=2${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
      const page = (await (await fetch(`${url}/v1/jobs?${query}`)).json()) as {
        items: Job[];
        nextCursor: string | null;
      };
      expect(page.items.length).toBeLessThanOrEqual(2);
      found.push(...page.items.map((job) => job.id));
      cursor = page.nextCursor;
    }
    expect(found).toEqual(ids.slice(1));
  });

  it('are cancelled once', async () => {
    const { id } = await submit();
    const cancelled = await post(`/v1/jobs/${id}/cancel`);
    expect([cancelled.status, ((await cancelled.json()) as Job).state]).toEqual([200, 'cancelled']);
    expect(await problemOf(await post(`/v1/jobs/${id}/cancel`))).toMatchObject({
      status: 409,
      code: 'job_state_conflict',
    });
  });

  it('are paused and resumed', async () => {
    const { id } = await submit();
    const stateAfter = async (action: string) => ((await (await post(`/v1/jobs/${id}/${action}`)).json()) as Job).state;
    expect([await stateAfter('pause'), await stateAfter('resume')]).toEqual(['paused', 'queued']);
    expect(await problemOf(await post(`/v1/jobs/${id}/resume`))).toMatchObject({
      status: 409,
      code: 'job_state_conflict',
      errors: [{ path: 'state', value: 'queued' }],
    });
    expect(await problemOf(await post('/v1/jobs/job-none/pause'))).toMatchObject({ code: 'job_not_found' });
    await control.cancelJob(id);
  });

  it('have attempts, metrics, logs and checkpoints of their own', async () => {
    const { id } = await submit();
    for (const part of ['attempts', 'metrics', 'logs', 'checkpoints'])
      expect(await items(`/v1/jobs/${id}/${part}`)).toEqual([]);
    await database.transaction(async (tx) => {
      const points = [1, 2, 3].map((step) => ({ name: 'loss', step, value: 1 / step, at: Date.now() }));
      await tx.metrics.record(id, 1, points);
      await tx.logs.append(id, 1, 0, [
        { at: Date.now(), level: 'info', message: 'hello' },
        { at: Date.now(), level: 'warn', message: 'careful' },
      ]);
      const file = { name: 'model.safetensors', bytes: 5, sha256: 'ab' };
      const checkpoint = {
        step: 3,
        position: 24,
        prefix: `runs/${id}/step-3`,
        bytes: 5,
        manifestSha256: 'cd',
        worldSize: 1,
        metrics: {},
        files: [file],
      };
      await tx.checkpoints.record('ckpt-1', id, 1, checkpoint);
    });
    expect(await items(`/v1/jobs/${id}/metrics?name=loss&afterStep=1`)).toMatchObject([
      { step: 2 },
      { step: 3, value: 1 / 3 },
    ]);
    expect(await items(`/v1/jobs/${id}/metrics?name=other`)).toEqual([]);
    expect(await items(`/v1/jobs/${id}/metrics?name=loss&name=other&fromStep=1&toStep=3&buckets=2`)).toEqual([
      {
        name: 'loss',
        bucketSteps: 2,
        firstStep: [1, 3],
        lastStep: [2, 3],
        count: [2, 1],
        min: [1 / 2, 1 / 3],
        max: [1, 1 / 3],
        mean: [3 / 4, 1 / 3],
        first: [1, 1 / 3],
        last: [1 / 2, 1 / 3],
      },
    ]);
    expect(await items(`/v1/jobs/${id}/metrics/names`)).toMatchObject([
      { name: 'loss', points: 3, firstStep: 1, lastStep: 3, latest: 1 / 3 },
    ]);
    for (const query of ['buckets=0', 'buckets=2001', 'toStep=-1', 'fromStep=5&toStep=4&buckets=1'])
      expect(await problemOf(await fetch(`${url}/v1/jobs/${id}/metrics?${query}`))).toMatchObject({ status: 400 });
    expect(await items(`/v1/jobs/${id}/logs?level=warn`)).toMatchObject([{ message: 'careful', rank: 0 }]);
    expect(await items(`/v1/jobs/${id}/logs?text=HELLO`)).toMatchObject([{ message: 'hello' }]);
    expect(await items(`/v1/jobs/${id}/logs?to=2000-01-01T00:00:00Z`)).toEqual([]);
    expect(await problemOf(await fetch(`${url}/v1/jobs/${id}/logs?from=today`))).toMatchObject({ status: 400 });
    const [checkpoint] = await items<Checkpoint>(`/v1/jobs/${id}/checkpoints`);
    expect(checkpoint).toMatchObject({ id: 'ckpt-1', step: 3, url: `file:/somewhere/runs/${id}/step-3` });
    expect(await (await fetch(`${url}/v1/checkpoints/ckpt-1`)).json()).toEqual(checkpoint);

    const file = `${url}/v1/checkpoints/ckpt-1/files/model.safetensors`;
    expect(await problemOf(await fetch(file))).toMatchObject({ status: 404, code: 'not_found' });
    await store.put(`runs/${id}/step-3/model.safetensors`, Buffer.from('bytes'));
    const response = await fetch(file);
    expect(Object.fromEntries(response.headers)).toMatchObject({ 'content-length': '5', etag: '"ab"' });
    expect(await response.text()).toBe('bytes');
    const other = await problemOf(await fetch(`${url}/v1/checkpoints/ckpt-1/files/state.json`));
    expect(other.errors[0]).toMatchObject({ path: 'name', value: 'state.json' });
  });
});

describe('/metrics', () => {
  it('has what there is, and all that the Grafana dashboard asks for', async () => {
    const { id } = await submit({ name: 'watched' });
    await database.transaction(async (tx) => {
      await tx.jobs.update(id, { state: 'running', step: 3, totalSteps: 8, worldSize: 2, latest: { loss: 0.5 } });
    });
    await fetch(`${url}/v1/jobs/${id}`);
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
    const text = await response.text();
    const labels = `job_id="${id}",job_name="watched"`;
    for (const line of [
      `clipyard_job_step{${labels}} 3`,
      `clipyard_job_metric{${labels},metric="loss"} 0.5`,
      'clipyard_jobs{state="running"} 1',
      'clipyard_jobs{state="failed"} 0',
    ])
      expect(text.split('\n')).toContain(line);
    expect(text).toMatch(
      /clipyard_http_request_seconds_count\{method="GET",route="\/v1\/jobs\/:id",status="200"\} [1-9]/,
    );
    await control.cancelJob(id);
    expect(await (await fetch(`${url}/metrics`)).text()).not.toContain(id);

    const dashboard = await readFile(new URL('../../../examples/grafana-dashboard.json', import.meta.url), 'utf8');
    const asked = new Set(dashboard.match(/clipyard_\w+/g));
    expect(asked.size).toBeGreaterThan(10);
    const ofWorkers = /^clipyard_(?:worker|rank)_/;
    for (const name of asked)
      if (!ofWorkers.test(name)) expect(text, name).toContain(`# TYPE ${name.replace(/_(?:bucket|count|sum)$/, '')} `);
  });
});

describe('what is not valid is a problem document', () => {
  it.each([
    ['an unknown preset', { model: { preset: 'clip-huge' } }, 'preset_unknown', 'model.preset'],
    [
      'a model config without its parts',
      { model: { config: { embed_dim: 3 } } },
      'model_config_invalid',
      'model.config',
    ],
    [
      'a batch that does not divide',
      { batch: { global: 9 }, resources: { world: { min: 2, max: 2 } } },
      'batch_not_divisible',
      'batch.global',
    ],
    ['another version', { version: 3 }, 'spec_version_unsupported', 'version'],
    ['a wrong type', { batch: { global: 'many' } }, 'spec_invalid', 'batch.global'],
  ])('%s', async (_, changes, code, path) => {
    const problem = await problemOf(await post('/v1/jobs', spec(changes)));
    expect(problem).toMatchObject({ status: 422, code });
    expect(problem.errors[0]!.path.startsWith(path), JSON.stringify(problem.errors)).toBe(true);
    expect(problem.errors[0]!.remedy).toBeDefined();
  });

  it('JSON that is none, a body that is missing, of another type or too large', async () => {
    expect(await problemOf(await post('/v1/jobs', '{"version": '))).toMatchObject({
      status: 400,
      code: 'request_invalid',
    });
    expect(await problemOf(await post('/v1/jobs', ''))).toMatchObject({ status: 400, errors: [{ path: 'body' }] });
    expect((await problemOf(await post('/v1/jobs'))).status).toBe(422);
    const xml = await post('/v1/jobs', '<a/>', { 'content-type': 'application/xml' });
    expect(await problemOf(xml)).toMatchObject({
      status: 400,
      errors: [{ path: 'content-type', value: 'application/xml' }],
    });
    const large = await post('/v1/jobs', { padding: 'x'.repeat(LIMITS.requestBodyBytes) });
    expect(await problemOf(large)).toMatchObject({ status: 413, code: 'payload_too_large' });
  });

  it.each([
    ['/v1/jobs?limit=0', 400, 'request_invalid'],
    ['/v1/jobs?stat=queued', 400, 'request_invalid'],
    ['/v1/jobs?state=asleep', 400, 'request_invalid'],
    ['/v1/jobs?cursor=nonsense', 400, 'request_invalid'],
    ['/v1/jobs?label=%00', 400, 'request_invalid'],
    ['/v1/jobs/a%00b', 400, 'request_invalid'],
    ['/v1/jobs/job-none/metrics?afterStep=2147483648', 400, 'request_invalid'],
    ['/v1/jobs/job-none/logs?rank=2147483648', 400, 'request_invalid'],
    ['/v1/nodes?x=1', 400, 'request_invalid'],
    ['/v1/jobs/job-none', 404, 'job_not_found'],
    ['/v1/jobs/job-none/metrics', 404, 'job_not_found'],
    ['/v1/jobs/job-none/events', 404, 'job_not_found'],
    ['/v1/jobs/%ff', 400, 'request_invalid'],
    ['/v1/checkpoints/none', 404, 'not_found'],
    ['/v2/jobs', 404, 'not_found'],
  ])('%s', async (path, status, code) => {
    const problem = await problemOf(await fetch(url + path));
    expect(problem).toMatchObject({ status, code });
    expect(problem.errors[0]).toMatchObject({ path: expect.any(String), remedy: expect.any(String) });
  });

  it('another method than those of a path is answered with 405 and what is allowed', async () => {
    const response = await fetch(`${url}/v1/jobs`, { method: 'DELETE' });
    expect(response.headers.get('allow')).toBe('POST, GET');
    expect(await problemOf(response)).toMatchObject({
      code: 'method_not_allowed',
      errors: [{ path: 'method', value: 'DELETE', remedy: 'Use POST or GET.' }],
    });
    expect(await problemOf(await fetch(`${url}/v1/jobs/x/cancel?now`))).toMatchObject({ status: 405 });
    expect(await problemOf(await fetch(`${url}/v1/jobs//cancel`))).toMatchObject({ status: 404 });
  });

  it('the secrets and the inside of an unexpected error stay in the log', async () => {
    const broken = buildServer({
      control: withCalls(control, { getJob: () => Promise.reject(new Error('the password is hunter2')) }),
      admission: localAdmission,
      checkModel,
      logger: createLogger({ name: 'api', destination: { write: (line) => logged.push(line) } }),
      newRequestId: () => 'req-broken',
    });
    const response = await broken.inject('/v1/jobs/x');
    expect(response.statusCode).toBe(500);
    expect(response.body).not.toContain('hunter2');
    expect(logged.some((line) => line.includes('req-broken') && line.includes('hunter2'))).toBe(true);
    await broken.close();
  });
});

describe('events', () => {
  async function open(
    id: string,
    { query = '', lastEventId }: { query?: string; lastEventId?: string } = {},
  ): Promise<Response> {
    return await fetch(
      `${url}/v1/jobs/${id}/events${query}`,
      lastEventId === undefined ? {} : { headers: { 'last-event-id': lastEventId } },
    );
  }
  const parse = (text: string): JobEvent[] =>
    [...text.matchAll(/^data: (\{"id.*)$/gm)].map((match) => JSON.parse(match[1]!) as JobEvent);

  it('come live, with heartbeats in silence, and end with the job', async () => {
    const { id } = await submit();
    const response = await open(id);
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!(text.includes(': heartbeat') && text.includes('event: job.state'))) text += (await reader.read()).value;
    expect(parse(text)).toMatchObject([{ type: 'job.state', data: { to: 'queued' } }]);
    await control.cancelJob(id);
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    expect(parse(text)).toMatchObject([{ data: { to: 'queued' } }, { data: { to: 'cancelled' } }]);
    expect(text.endsWith('event: end\ndata: {}\n\n')).toBe(true);
  });

  it('resume after Last-Event-ID or ?after=, and answer 204 when nothing follows', async () => {
    const { id } = await submit();
    await control.cancelJob(id);
    const [first, second] = parse(await (await open(id)).text());
    expect(parse(await (await open(id, { lastEventId: first!.id })).text())).toEqual([second]);
    expect(parse(await (await open(id, { query: `?after=${first!.id}` })).text())).toEqual([second]);
    expect((await open(id, { lastEventId: second!.id })).status).toBe(204);
    expect(await problemOf(await open(id, { lastEventId: 'x1' }))).toMatchObject({
      status: 400,
      errors: [{ path: 'Last-Event-ID', value: 'x1' }],
    });
  });

  it('arrive whole and in order at a client that reads slowly', async () => {
    const { id } = await submit();
    const count = 1000;
    await database.transaction(async (tx) => {
      await tx.jobs.lock(id);
      const padding = 'x'.repeat(2000);
      await tx.events.appendAll(
        Array.from({ length: count }, (_, index) => {
          const data = { step: index + 1, padding };
          return { jobId: id, type: 'metrics', epoch: 1, data };
        }),
      );
    });
    await control.cancelJob(id);
    const response = await open(id);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const steps = parse(await response.text()).flatMap((event) => (event.type === 'metrics' ? [event.data.step] : []));
    expect(steps).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  });

  it('of metrics only come live with ?metrics=live, but none is lost after an id', async () => {
    const { id } = await submit();
    const report = (step: number) =>
      database.transaction(async (tx) => {
        await tx.jobs.lock(id);
        await tx.events.append({ jobId: id, type: 'metrics', epoch: 1, data: { step } });
      });
    await report(1);
    const reader = (await open(id, { query: '?metrics=live' })).body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('"to":"queued"')) text += (await reader.read()).value;
    await report(2);
    while (!text.includes('"step":2')) text += (await reader.read()).value;
    expect(parse(text).map(({ type, data }) => [type, data.step])).toEqual([
      ['job.state', undefined],
      ['metrics', 2],
    ]);
    await reader.cancel();
    const [queued] = parse(text);
    await control.cancelJob(id);
    const resumed = parse(await (await open(id, { query: '?metrics=live', lastEventId: queued!.id })).text());
    expect(resumed.map(({ data }) => data.step ?? data.to)).toEqual([1, 2, 'cancelled']);
  });

  it('end when the server drains, for the client to resume elsewhere', async () => {
    const draining = build();
    const at = await listen(draining, { host: '127.0.0.1', port: 0 });
    const { id } = await submit();
    const reader = (await fetch(`${at}/v1/jobs/${id}/events`)).body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('"to":"queued"')) text += (await reader.read()).value;
    const closed = draining.close();
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    await closed;
    expect(text).not.toContain('event: end');
    await expect(fetch(`${at}/healthz`)).rejects.toThrow();
  });
});

describe('the server', () => {
  it('drains with connections open on which no request has come', async () => {
    const draining = build();
    const at = new URL(await listen(draining, { host: '127.0.0.1', port: 0 }));
    const socket = connect(Number(at.port), at.hostname);
    const ended = once(socket, 'close');
    await once(socket, 'connect');
    await fetch(new URL('/healthz', at));
    const began = performance.now();
    await draining.close();
    expect(performance.now() - began).toBeLessThan(2000);
    await ended;
  });

  it('finishes the request under way when it drains', async () => {
    let answer: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const draining = build(withCalls(control, { listNodes: () => held.then(() => []) }));
    const at = await listen(draining, { host: '127.0.0.1', port: 0 });
    const response = fetch(`${at}/v1/nodes`);
    await once(draining.server, 'request');
    const closed = draining.close();
    answer();
    expect((await response).status).toBe(200);
    await closed;
  });

  it('tells whether it is alive and ready', async () => {
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok', checks: {} });
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ok', checks: { database: 'ok', queue: 'ok' } },
    ]);
  });

  it('lists nodes', async () => {
    expect(await items('/v1/nodes')).toEqual([]);
  });

  it('names PORT, its value and the remedy when the port is taken', async () => {
    const second = build();
    const port = Number(new URL(url).port);
    const error = await listen(second, { host: '127.0.0.1', port }).catch((e: unknown) => e);
    const remedy = expect.stringContaining('PORT=0');
    expect(error).toMatchObject({ code: 'port_taken', fields: [{ path: 'PORT', value: port, remedy }] });
    expect(error).toBeInstanceOf(fieldError('port_taken', { path: '', message: '' }).constructor);
    await second.close();
  });
});
