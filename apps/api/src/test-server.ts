import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BlobStore, Job } from '@clipyard/contracts';
import { type ControlPlane, createControlPlane } from '@clipyard/control';
import { bootTestDatabase, type Database, openDatabase } from '@clipyard/db';
import { checkModel } from '@clipyard/model';
import { MessageBus } from '@clipyard/queue';
import { createLogger, Lifecycle, newId } from '@clipyard/runtime';
import { openBlobStore } from '@clipyard/storage';
import type { FastifyInstance } from 'fastify';
import { buildServer, listen } from './server.js';
import { localAdmission } from './test-admission.js';
import { disagreements } from './test-contract.js';

/** For tests: the API on a database, a queue and a store of its own, listening. */
export interface TestServer {
  readonly url: string;
  readonly control: ControlPlane;
  readonly database: Database;
  readonly bus: MessageBus;
  readonly store: BlobStore;
  /** Answers that the OpenAPI document does not describe. */
  readonly undocumented: readonly string[];
  send(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
  submit(changes?: object): Promise<Job>;
  /** Another one at the same address. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function startTestServer({ allowPrivateWebhooks = false } = {}): Promise<TestServer> {
  const lifecycle = new Lifecycle();
  const booted = lifecycle.use('server of the database', await bootTestDatabase());
  const database = lifecycle.use('database', await openDatabase({ url: booted.url }));
  const bus = lifecycle.use('queue', await MessageBus.open({ onError: () => {} }, { databaseUrl: booted.url }));
  const control = createControlPlane({ database, bus }, { storageUrl: 'file:/somewhere', allowPrivateWebhooks });
  const folder = await mkdtemp(join(tmpdir(), 'clipyard-api-'));
  lifecycle.add('storage', () => rm(folder, { recursive: true }));
  const store = await openBlobStore(pathToFileURL(folder).href);
  const logger = createLogger({ name: 'api', destination: { write: () => {} } });
  const undocumented: string[] = [];
  const build = (): FastifyInstance => {
    const built = buildServer({
      control,
      admission: localAdmission,
      checkModel,
      store,
      logger,
      newRequestId: () => newId('req'),
    });
    disagreements(built, undocumented);
    return built;
  };
  let server = build();
  lifecycle.add('API', () => server.close());
  const url = await listen(server, { host: '127.0.0.1', port: 0 });

  const send: TestServer['send'] = (method, path, body, headers = {}) =>
    fetch(url + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    url,
    control,
    database,
    bus,
    store,
    undocumented,
    send,
    async submit(changes = {}) {
      const response = await send('POST', '/v1/jobs', { ...SPEC, ...changes });
      if (response.status !== 201) throw new Error(await response.text());
      return (await response.json()) as Job;
    },
    async restart() {
      await server.close();
      server = build();
      await listen(server, { host: '127.0.0.1', port: Number(new URL(url).port) });
    },
    close: () => lifecycle.close(),
  };
}

const SPEC = {
  version: 1,
  name: 'a',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 8 },
  duration: { steps: 2 },
};
