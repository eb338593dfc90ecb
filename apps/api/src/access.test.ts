import {
  type CreatedToken,
  type Job,
  newTokenSchema,
  OPERATIONS,
  type Operation,
  openApiDocument,
  SCOPES,
} from '@clipyard/contracts';
import { type ControlPlane, createAuthenticator, createControlPlane } from '@clipyard/control';
import { bootTestDatabase, type Database, openDatabase } from '@clipyard/db';
import { MessageBus } from '@clipyard/queue';
import { createLogger, Lifecycle, newId } from '@clipyard/runtime';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Admission } from './admission.js';
import { buildServer, listen } from './server.js';
import { disagreements } from './test-contract.js';

const BOOTSTRAP = 'b'.repeat(32);
const lifecycle = new Lifecycle();
const logged: string[] = [];
let database: Database;
let control: ControlPlane;
let url: string;
let localUrl: string;
let undocumented: readonly string[][];
const tokens = {} as Record<'read' | 'submit' | 'admin' | 'expired' | 'revoked' | 'other' | 'all', string>;
/** What there is in the projects `vision` and `other`. */
const made = {} as Record<'vision' | 'other', { job: string; checkpoint: string; sweep: string; token: string }>;

const spec = (changes: object = {}) => ({
  version: 1,
  name: 'a',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 8 },
  duration: { steps: 2 },
  ...changes,
});
const sweepSpec = () => ({
  version: 1,
  name: 'search',
  base: spec(),
  parameters: { 'optimizer.lr': { type: 'choice', values: [0.1, 0.2] } },
  search: { type: 'grid' },
  objective: { metric: 'loss', goal: 'min' },
});

function build(requireToken: boolean): FastifyInstance {
  const logger = createLogger({ name: 'api', level: 'debug', destination: { write: (line) => logged.push(line) } });
  const authenticator = createAuthenticator({ database }, { bootstrapToken: BOOTSTRAP });
  const admission = new Admission({ authenticator }, { requireToken, corsOrigins: ['https://dash.example'] });
  const deps = { control, admission, checkModel: () => {}, logger, newRequestId: () => newId('req') };
  const server = buildServer(deps, { refusedLimit: 10_000 });
  lifecycle.add('API', () => server.close());
  return server;
}

interface Ask {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly at?: string;
}

async function ask(method: string, path: string, { token, body, headers, at = url }: Ask = {}): Promise<Response> {
  return await fetch(at + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code;

async function makeToken(input: object): Promise<CreatedToken> {
  const response = await ask('POST', '/v1/tokens', { token: BOOTSTRAP, body: input });
  expect(response.status).toBe(201);
  return (await response.json()) as CreatedToken;
}

beforeAll(async () => {
  const { url: databaseUrl } = lifecycle.use('server of the database', await bootTestDatabase());
  database = lifecycle.use('database', await openDatabase({ url: databaseUrl }));
  const onError = (error: Error) => logged.push(error.message);
  const bus = lifecycle.use('queue', await MessageBus.open({ onError }, { databaseUrl }));
  control = createControlPlane({ database, bus });
  const [server, local] = [build(true), build(false)];
  undocumented = [server, local].map((each) => disagreements(each) as string[]);
  url = await listen(server, { host: '127.0.0.1', port: 0 });
  localUrl = await listen(local, { host: '127.0.0.1', port: 0 });

  const vision = { project: 'vision', expiresInDays: 1 };
  for (const scope of SCOPES)
    tokens[scope] = (await makeToken({ name: `vision ${scope}`, scopes: [scope], ...vision })).token;
  tokens.other = (await makeToken({ name: 'other', scopes: ['admin'], project: 'other' })).token;
  tokens.all = (await makeToken({ name: 'everything', scopes: ['admin'], project: null })).token;
  tokens.expired = (await makeToken({ name: 'old', scopes: ['admin'], project: null, expiresInDays: 1e-9 })).token;
  const revoked = await makeToken({ name: 'lost', scopes: ['admin'], project: null });
  tokens.revoked = revoked.token;
  expect((await ask('DELETE', `/v1/tokens/${revoked.id}`, { token: BOOTSTRAP })).status).toBe(200);

  for (const [project, token] of [
    ['vision', tokens.admin],
    ['other', tokens.other],
  ] as const) {
    const job = (await (await ask('POST', '/v1/jobs', { token, body: spec() })).json()) as Job;
    expect(job.project).toBe(project);
    const sweep = (await (await ask('POST', '/v1/sweeps', { token, body: sweepSpec() })).json()) as Job;
    const checkpoint = newId('ckpt');
    const file = { name: 'model.safetensors', bytes: 5, sha256: 'ab' };
    const record = { step: 1, position: 8, prefix: 'x', bytes: 9, manifestSha256: 'cd', worldSize: 1, metrics: {} };
    await database.transaction((tx) => tx.checkpoints.record(checkpoint, job.id, 1, { ...record, files: [file] }));
    const { id } = await makeToken({ name: 'spare', scopes: ['read'], project });
    made[project] = { job: job.id, checkpoint, sweep: sweep.id, token: id };
  }
});
afterAll(async () => {
  await lifecycle.close();
  expect(undocumented?.flat(), 'answers that the OpenAPI document does not describe').toEqual([]);
});

/** A path of an operation with an id of what is in a project. */
function pathOf({ path }: Operation, of: (typeof made)['vision']): string {
  const kind = path.startsWith('/v1/checkpoints') ? 'checkpoint' : path.startsWith('/v1/sweeps') ? 'sweep' : 'job';
  const id = path.startsWith('/v1/tokens') ? of.token : of[kind];
  return path.replace(':id', id).replace(':name', 'manifest.json').replace(/:\w+/g, '0');
}

/** What a query must have, with a value that may do. */
function queryOf({ query }: Operation): string {
  const missing = query?.safeParse({}).error?.issues.map(({ path }) => `${String(path[0])}=x`) ?? [];
  return missing.length === 0 ? '' : `?${missing.join('&')}`;
}

const operations = Object.entries(OPERATIONS) as [string, Operation][];
/** The body that the OpenAPI document has for it. */
function exampleOf({ method, path }: Operation): unknown {
  type Documented = { requestBody?: { content: { 'application/json': { example: unknown } } } };
  const paths = openApiDocument('0').paths as Record<string, Record<string, Documented>>;
  const { requestBody } = paths[path.replace(/:(\w+)/g, '{$1}')]![method.toLowerCase()]!;
  return requestBody?.content['application/json'].example;
}

const guarded = operations.filter(([, { scope }]) => scope !== 'none');
/** Of what belongs to a project. */
const ofOne = guarded.filter(([, { path, tag }]) => path.includes(':id') && tag !== 'Nodes');

describe('every operation', () => {
  it.each(guarded)(
    '%s is refused without a token, with a wrong one, and with one that is not valid any more',
    async (_, operation) => {
      const path = pathOf(operation, made.vision);
      const missing = await ask(operation.method, path);
      expect([missing.status, missing.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="clipyard"']);
      expect(await codeOf(missing)).toBe('token_required');
      const forged = `${tokens.all.slice(0, -4)}AAAA`;
      for (const token of [forged, 'cy_000000000000_x', 'hunter2', tokens.expired, tokens.revoked]) {
        const refused = await ask(operation.method, path, { token });
        expect([refused.status, await codeOf(refused)]).toEqual([401, 'token_invalid']);
        expect(refused.headers.get('www-authenticate')).toContain('error="invalid_token"');
      }
    },
  );

  it.each(guarded)('%s is refused to a token whose scope does not include its own', async (_, operation) => {
    for (const scope of SCOPES.slice(0, SCOPES.indexOf(operation.scope as 'read'))) {
      const refused = await ask(operation.method, pathOf(operation, made.vision), { token: tokens[scope] });
      expect([refused.status, await codeOf(refused)]).toEqual([403, 'scope_insufficient']);
    }
    // A token of all projects is an admin's here.
    const token = operation.allProjects === true ? tokens.all : tokens[operation.scope as 'read'];
    const path = operation.path.replace(':id', 'none').replace(':name', 'x');
    expect([200, 400, 404, 422]).toContain((await ask(operation.method, path, { token })).status);
  });

  it.each(ofOne)('%s finds nothing of another project', async (_, operation) => {
    const asked = { token: tokens.admin, body: exampleOf(operation) };
    const hidden = await ask(operation.method, pathOf(operation, made.other) + queryOf(operation), asked);
    expect(hidden.status).toBe(404);
    const missing = await ask(operation.method, operation.path.replace(/:\w+/g, '0') + queryOf(operation), asked);
    // What is hidden is answered as what is not there, so that ids cannot be tried.
    expect(await codeOf(hidden)).toBe(await codeOf(missing));
  });

  it.each(guarded.filter(([, { allProjects }]) => allProjects))(
    '%s is refused to a token of one project',
    async (_, op) => {
      expect((await ask(op.method, op.path, { token: tokens.admin })).status).toBe(403);
      expect([200, 404]).toContain((await ask(op.method, op.path, { token: tokens.all })).status);
    },
  );

  it.each(guarded.filter(([, { answer, path }]) => answer.type === 'list' && !path.includes(':id')))(
    '%s lists nothing of another project',
    async (_, { method, path }) => {
      const text = await (await ask(method, `${path}`, { token: tokens.admin })).text();
      for (const id of Object.values(made.other)) expect(text).not.toContain(id);
    },
  );

  it.each(operations.filter(([, { scope }]) => scope === 'none'))('%s needs no token', async (_, operation) => {
    expect((await ask(operation.method, operation.path)).status).not.toBe(401);
  });
});

describe('projects', () => {
  it('are narrowed to, and named when submitting, by those who see them only', async () => {
    const list = async (token: string, query = '') =>
      ((await (await ask('GET', `/v1/jobs${query}`, { token })).json()) as { items: Job[] }).items.map(({ id }) => id);
    expect(await list(tokens.read)).toEqual([made.vision.job]);
    expect(await list(tokens.read, '?project=other')).toEqual([]);
    expect(await list(tokens.all, '?project=other')).toEqual([made.other.job]);
    expect(new Set(await list(tokens.all))).toEqual(new Set([made.vision.job, made.other.job]));
    const refused = await ask('POST', '/v1/jobs?project=other', { token: tokens.submit, body: spec() });
    expect([refused.status, await codeOf(refused)]).toEqual([403, 'scope_insufficient']);
    const job = await ask('POST', '/v1/jobs?project=third', { token: tokens.all, body: spec() });
    expect(((await job.json()) as Job).project).toBe('third');
  });

  it('do not share idempotency keys, and do not reach the checkpoints of others', async () => {
    const headers = { 'idempotency-key': 'the-same' };
    const [a, b] = await Promise.all(
      [tokens.submit, tokens.other].map((token) => ask('POST', '/v1/jobs', { token, body: spec(), headers })),
    );
    expect([a!.status, b!.status, b!.headers.get('idempotency-replayed')]).toEqual([201, 201, null]);
    const init = spec({ model: { preset: 'clip-tiny', init: `job:${made.other.job}` } });
    const refused = await ask('POST', '/v1/jobs', { token: tokens.submit, body: init });
    expect(await refused.json()).toMatchObject({ code: 'spec_invalid', errors: [{ message: 'names no job' }] });
  });

  it('show slots that hold ranks of others as busy', async () => {
    const node = { name: 'n', pool: 'default', host: 'h', version: '0', engines: ['cpu'] };
    await database.transaction(async (tx) => {
      const nodeId = await tx.nodes.register('node-1', 'reg-1', node, 2, 60_000);
      await tx.attempts.create({ jobId: made.other.job, epoch: 1, secret: 's' }, [{ nodeId, slot: 0 }]);
    });
    const slots = async (token: string) =>
      ((await (await ask('GET', '/v1/nodes', { token })).json()) as { items: { slots: unknown[] }[] }).items[0]!.slots;
    expect(await slots(tokens.read)).toEqual([
      { index: 0, busy: true, jobId: null, epoch: null, rank: null },
      { index: 1, busy: false, jobId: null, epoch: null, rank: null },
    ]);
    expect(await slots(tokens.other)).toContainEqual({
      index: 0,
      busy: true,
      jobId: made.other.job,
      epoch: 1,
      rank: 0,
    });
  });
});

describe('tokens', () => {
  it('are told once, kept as a hash, and name their last use', async () => {
    const { token, ...shown } = await makeToken({ name: 'once', scopes: ['submit'], project: 'vision' });
    expect(token).toMatch(/^cy_[a-z0-9]{12}_[\w-]{43}$/);
    expect(shown).toMatchObject({ scopes: ['read', 'submit'], project: 'vision', createdBy: 'bootstrap' });
    expect(Date.parse(shown.expiresAt!) - Date.now()).toBeGreaterThan(89 * 86_400_000);
    const row = await database.read((db) => db.tokens.find(shown.id));
    expect(row!.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(row)).not.toContain(token.split('_')[2]!);
    const who = await (await ask('GET', '/v1/whoami', { token })).json();
    expect(who).toMatchObject({ name: 'once', tokenId: shown.id, scopes: ['read', 'submit'], project: 'vision' });
    const seen = await (await ask('GET', `/v1/tokens/${shown.id}`, { token: tokens.admin })).json();
    expect(Date.now() - Date.parse((seen as CreatedToken).lastUsedAt!)).toBeLessThan(60_000);
    expect(seen).not.toHaveProperty('token');
  });

  it('of a project cannot make one of another, or of all', async () => {
    for (const project of ['other', null]) {
      const body = { name: 'x', scopes: ['admin'], project };
      const refused = await ask('POST', '/v1/tokens', { token: tokens.admin, body });
      expect(refused.status === 403 || ((await refused.json()) as CreatedToken).project === 'vision').toBe(true);
    }
  });

  it('are refused with what is wrong in what is asked', async () => {
    const body = { name: '', scopes: ['root'], project: 'Not a name' };
    const refused = await ask('POST', '/v1/tokens', { token: BOOTSTRAP, body });
    const { code, errors } = (await refused.json()) as { code: string; errors: { path: string }[] };
    expect([refused.status, code]).toEqual([400, 'request_invalid']);
    expect(errors.map(({ path }) => path)).toEqual(['name', 'scopes[0]', 'project']);
    expect(newTokenSchema.safeParse({ name: 'a', scopes: ['read'] }).success).toBe(true);
  });

  it('are in no log', () => {
    const secrets = [BOOTSTRAP, ...Object.values(tokens).map((token) => token.split('_').slice(2).join('_'))];
    expect(logged.length).toBeGreaterThan(0);
    for (const secret of secrets) expect(logged.filter((line) => line.includes(secret))).toEqual([]);
  });
});

describe('the audit log', () => {
  const events = async (token: string, query = '') =>
    ((await (await ask('GET', `/v1/audit${query}`, { token })).json()) as { items: Record<string, unknown>[] }).items;

  it('has every change with who, what and whence', async () => {
    const response = await ask('POST', `/v1/jobs/${made.vision.job}/pause`, { token: tokens.submit });
    expect(response.status).toBe(200);
    expect(await events(tokens.all, `?target=${made.vision.job}`)).toMatchObject([
      {
        action: 'pauseJob',
        actor: 'vision submit',
        tokenId: tokens.submit.split('_')[1],
        project: 'vision',
        details: { from: 'queued', to: 'paused' },
        requestId: response.headers.get('x-request-id'),
        address: '127.0.0.1',
      },
      { action: 'submitJob', actor: 'vision admin' },
    ]);
    // What changed nothing left no trace.
    await ask('POST', `/v1/jobs/${made.vision.job}/pause`, { token: tokens.submit });
    expect(await events(tokens.all, `?target=${made.vision.job}`)).toHaveLength(2);
  });

  it('is of one project for its admins, and filtered', async () => {
    expect(new Set((await events(tokens.admin, '?limit=500')).map(({ project }) => project))).toEqual(
      new Set(['vision']),
    );
    expect(await events(tokens.admin, '?project=other')).toEqual([]);
    const revoked = await events(tokens.all, '?action=revokeToken&actor=bootstrap');
    expect(revoked).toMatchObject([{ details: { name: 'lost' }, project: null }]);
    expect(await events(tokens.all, `?until=${String(revoked[0]!.at)}&action=revokeToken`)).toEqual([]);
  });

  it('comes page by page', async () => {
    const whole = await events(tokens.all, '?limit=500');
    const paged: unknown[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const query: string = `?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`;
      const page = (await (await ask('GET', `/v1/audit${query}`, { token: tokens.all })).json()) as {
        items: unknown[];
        nextCursor: string | null;
      };
      paged.push(...page.items);
      cursor = page.nextCursor;
    }
    expect(paged).toEqual(whole);
  });
});

describe('a server on loopback', () => {
  it('serves whoever is on the machine as local, and a token as what it is', async () => {
    const who = async (token?: string) =>
      await (await ask('GET', '/v1/whoami', { at: localUrl, ...(token === undefined ? {} : { token }) })).json();
    expect(await who()).toEqual({ name: 'local', tokenId: null, scopes: [...SCOPES], project: null, expiresAt: null });
    expect(await who(tokens.read)).toMatchObject({ name: 'vision read', project: 'vision' });
    expect((await ask('GET', '/v1/whoami', { at: localUrl, token: 'wrong' })).status).toBe(401);
  });

  it.each(guarded)('%s is refused under a foreign name, and with a change in it from a foreign page', async (_, op) => {
    const server = build(false);
    const path = pathOf(op, made.vision);
    const inject = async (headers: Record<string, string>) =>
      (await server.inject({ method: op.method, url: path, headers })).json() as { code?: string };
    expect(await inject({ host: 'evil.example' })).toMatchObject({ code: 'origin_refused' });
    expect(await inject({ host: '127.0.0.1.evil.example' })).toMatchObject({ code: 'origin_refused' });
    if (op.method === 'GET') return;
    for (const origin of ['https://evil.example', 'null', 'http://localhost:1'])
      expect(await inject({ host: 'localhost:7070', origin })).toMatchObject({ code: 'origin_refused' });
    expect(await inject({ host: 'localhost:7070', 'sec-fetch-site': 'cross-site' })).toMatchObject({
      code: 'origin_refused',
    });
  });

  it('serves its own pages, and those of origins that are allowed', async () => {
    for (const [origin, status] of [
      [localUrl, 201],
      ['https://dash.example', 201],
      ['https://evil.example', 403],
    ] as const)
      expect((await ask('POST', '/v1/jobs', { at: localUrl, body: spec(), headers: { origin } })).status).toBe(status);
  });
});

describe('a session', () => {
  it('carries a token in a cookie that pages cannot read, for pages of this server only', async () => {
    const signedIn = await ask('POST', '/v1/session', { body: { token: tokens.submit } });
    expect(await signedIn.json()).toMatchObject({ name: 'vision submit', project: 'vision' });
    const set = signedIn.headers.get('set-cookie')!;
    expect(set).toMatch(/; Path=\/; HttpOnly; SameSite=Strict$/);
    const cookie = set.split(';')[0]!;
    expect((await ask('GET', '/v1/jobs', { headers: { cookie } })).status).toBe(200);
    const post = (origin: string) => ask('POST', '/v1/jobs', { body: spec(), headers: { cookie, origin } });
    expect((await post(url)).status).toBe(201);
    expect((await post('https://evil.example')).status).toBe(403);
    const out = await ask('DELETE', '/v1/session');
    expect([out.status, out.headers.get('set-cookie')]).toEqual([204, expect.stringContaining('Max-Age=0')]);
  });

  it('is refused for what is no token, which is not repeated', async () => {
    const refused = await ask('POST', '/v1/session', { body: { token: 'hunter2' } });
    expect(refused.status).toBe(401);
    expect(await refused.text()).not.toContain('hunter2');
    const invalid = await ask('POST', '/v1/session', { body: { token: `hunter2${'x'.repeat(600)}` } });
    expect(invalid.status).toBe(400);
    expect(await invalid.text()).not.toContain('hunter2');
  });
});
