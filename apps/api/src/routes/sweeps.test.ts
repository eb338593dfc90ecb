import { type Problem, problemSchema, type Sweep, sweepSchema, trialSchema } from '@clipyard/contracts';
import { createControlPlane } from '@clipyard/control';
import { bootTestDatabase, openDatabase } from '@clipyard/db';
import { resolveModelConfig } from '@clipyard/model';
import { MessageBus } from '@clipyard/queue';
import { createLogger, Lifecycle, newId } from '@clipyard/runtime';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildServer, listen } from '../server.js';
import { localAdmission } from '../test-admission.js';
import { disagreements } from '../test-contract.js';

const lifecycle = new Lifecycle();
let url: string;
let undocumented: readonly string[];

beforeAll(async () => {
  const { url: databaseUrl } = lifecycle.use('server of the database', await bootTestDatabase());
  const database = lifecycle.use('database', await openDatabase({ url: databaseUrl }));
  const logger = createLogger({ name: 'api', level: 'error' });
  const onError = (error: Error) => logger.error(error);
  const bus = lifecycle.use('queue', await MessageBus.open({ onError }, { databaseUrl }));
  const control = createControlPlane({ database, bus });
  const server = buildServer({
    control,
    admission: localAdmission,
    checkModel: resolveModelConfig,
    logger,
    newRequestId: () => newId('req'),
  });
  undocumented = disagreements(server);
  lifecycle.add('API', () => server.close());
  url = await listen(server, { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await lifecycle.close();
  expect(undocumented, 'answers that the OpenAPI document does not describe').toEqual([]);
});

const sweepSpec = (changes: object = {}) => ({
  version: 1,
  name: 'search',
  base: {
    version: 1,
    model: { preset: 'clip-tiny' },
    data: { train: { type: 'shapes' } },
    batch: { global: 8 },
    duration: { steps: 16 },
  },
  parameters: { 'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2 } },
  search: { type: 'random', trials: 3 },
  halving: { first: { steps: 4 } },
  objective: { metric: 'loss', goal: 'min' },
  ...changes,
});

const get = async (path: string): Promise<unknown> => (await fetch(url + path)).json();
function post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  if (body === undefined) return fetch(url + path, { method: 'POST', headers });
  const type = { 'content-type': 'application/json' };
  return fetch(url + path, { method: 'POST', headers: { ...type, ...headers }, body: JSON.stringify(body) });
}
async function problemOf(response: Response): Promise<Problem> {
  const problem = problemSchema.parse(await response.json());
  expect(problem.status).toBe(response.status);
  return problem as Problem;
}

it('creates a sweep with its trials, once for one key, at a location', async () => {
  const key = { 'idempotency-key': newId('key') };
  const response = await post('/v1/sweeps', sweepSpec(), key);
  expect(response.status).toBe(201);
  const sweep = sweepSchema.parse(await response.json());
  expect(response.headers.get('location')).toBe(`/v1/sweeps/${sweep.id}`);
  expect(sweep).toMatchObject({ state: 'running', trials: { waiting: 3 }, best: null, spec: { maxConcurrent: 1 } });
  expect(sweep.rungs).toEqual([{ steps: 4 }, { steps: 16 }]);
  expect(await get(`/v1/sweeps/${sweep.id}`)).toEqual(sweep);
  const { items } = (await get(`/v1/sweeps/${sweep.id}/trials`)) as { items: unknown[] };
  expect(items.map((item) => trialSchema.parse(item))).toMatchObject(
    [0, 1, 2].map((index) => ({
      index,
      state: 'waiting',
      jobId: null,
      values: { 'optimizer.lr': expect.any(Number) },
    })),
  );
  const again = await post('/v1/sweeps', sweepSpec(), key);
  expect([again.headers.get('idempotency-replayed'), ((await again.json()) as Sweep).id]).toEqual(['true', sweep.id]);
  expect(await get('/v1/sweeps?state=running')).toMatchObject({ items: [{ id: sweep.id }], nextCursor: null });
});

it('pauses, resumes and cancels', async () => {
  const { id } = (await (await post('/v1/sweeps', sweepSpec())).json()) as Sweep;
  for (const [action, state] of [
    ['pause', 'paused'],
    ['resume', 'running'],
    ['cancel', 'cancelled'],
  ] as const) {
    const response = await post(`/v1/sweeps/${id}/${action}`);
    expect([response.status, ((await response.json()) as Sweep).state]).toEqual([200, state]);
  }
  expect(await problemOf(await post(`/v1/sweeps/${id}/pause`))).toMatchObject({
    status: 409,
    code: 'sweep_state_conflict',
    errors: [{ path: 'state', value: 'cancelled' }],
  });
  expect(await problemOf(await post('/v1/sweeps/sweep-none/pause'))).toMatchObject({ status: 404 });
});

it.each([
  ['a misspelt field', { sarch: 1 }, 'sweep_invalid', 'sarch'],
  [
    'a trial that is no run spec',
    { parameters: { 'optimizer.lr': { type: 'choice', values: [-1] } } },
    'spec_invalid',
    'parameters.optimizer.lr',
  ],
  [
    'an unknown preset',
    { parameters: { 'model.preset': { type: 'choice', values: ['clip-huge'] } } },
    'preset_unknown',
    'parameters.model.preset',
  ],
  ['rungs without room', { halving: { first: { steps: 5 } } }, 'sweep_invalid', 'halving.first'],
])('refuses %s, naming field and remedy', async (_, changes, code, path) => {
  const problem = await problemOf(await post('/v1/sweeps', sweepSpec(changes)));
  expect(problem).toMatchObject({ status: 422, code });
  expect(problem.errors[0]).toMatchObject({ path, remedy: expect.any(String) });
});
