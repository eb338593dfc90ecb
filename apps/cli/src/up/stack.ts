import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Client } from '@clipyard/client';
import { ClipyardError } from '@clipyard/contracts';
import { EmbeddedPostgres } from '@clipyard/db';
import { abortable, Lifecycle, sleep } from '@clipyard/runtime';
import type { Config } from '../config.js';
import { removeServerFile, writeServerFile } from './server-file.js';
import { Service } from './service.js';

export interface Stack {
  readonly url: string;
  readonly client: Client;
  /** Rejects when a process of the stack ends unexpectedly, with the end of its log. Never resolves. */
  readonly failed: Promise<never>;
  /** Ends worker, API and database, in this order. */
  close(): Promise<void>;
}

const DEFAULT_PORT = 7070;
const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/** Starts database, API with scheduler, and one worker, each told when it is ready; undoes everything when one fails. */
export async function startStack(config: Config, say: (line: string) => void, signal: AbortSignal): Promise<Stack> {
  const lifecycle = new Lifecycle();
  try {
    return await start(config, say, signal, lifecycle);
  } catch (error) {
    await lifecycle.close();
    throw error;
  }
}

async function start(
  config: Config,
  say: (line: string) => void,
  signal: AbortSignal,
  lifecycle: Lifecycle,
): Promise<Stack> {
  const timed = stopwatch();
  await mkdir(config.up.dataDir, { recursive: true });
  const databaseUrl = config.up.databaseUrl ?? (await startDatabase(config, lifecycle, signal));
  say(
    `database  ${config.up.databaseUrl === undefined ? `PostgreSQL of this checkout on port ${new URL(databaseUrl).port}` : 'as DATABASE_URL says'} (${timed()})`,
  );

  const env = serviceEnvironment(config, databaseUrl);
  const { api, url } = await startApi(config, env, signal);
  let closing = false;
  lifecycle.add('the API', async () => {
    closing = true;
    await api.stop();
  });
  say(`API       ${url} (${timed()})`);

  const worker = await Service.start({
    name: 'worker',
    script: join(config.root, 'apps', 'worker', 'dist', 'main.js'),
    args: [],
    env,
    logFile: join(config.home, 'logs', 'worker.log'),
    // Ranks finish their step, which can take long with a large batch.
    stopGraceMs: 60_000,
  });
  lifecycle.add('the worker', async () => {
    closing = true;
    await worker.stop();
  });
  const failed = Promise.race(
    [api, worker].map(async (service) => {
      await service.ended;
      // While we close, they are meant to end.
      if (closing) return new Promise<never>(() => {});
      throw await unexpectedEnd(service);
    }),
  );
  failed.catch(() => {});
  const client = new Client({}, { url });
  await Promise.race([failed, nodeReady(client, worker, config.up.slots, signal)]);
  say(`worker    ${config.up.slots} slots (${timed()})`);

  await writeServerFile(config.home, { url, pids: { up: process.pid, api: api.pid, worker: worker.pid } });
  lifecycle.add('server.json', () => removeServerFile(config.home));
  return { url, client, failed, close: () => lifecycle.close() };
}

async function startDatabase(config: Config, lifecycle: Lifecycle, signal: AbortSignal): Promise<string> {
  const postgres = new EmbeddedPostgres({ directory: join(config.home, 'postgres') });
  const url = await postgres.start({ signal });
  lifecycle.add('PostgreSQL', () => postgres.stop());
  return url;
}

function serviceEnvironment(config: Config, databaseUrl: string): NodeJS.ProcessEnv {
  const { slots, threads, dataDir, storageUrl, redisUrl } = config.up;
  return {
    ...config.environment,
    CLIPYARD_HOME: config.home,
    DATABASE_URL: databaseUrl,
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
    STORAGE_URL: storageUrl,
    CLIPYARD_DATA_DIR: dataDir,
    CLIPYARD_SLOTS: String(slots),
    ...(threads === undefined ? {} : { CLIPYARD_THREADS: String(threads) }),
  };
}

/** Starts the API on the port asked for; when none is, on 7070, or on a free one where another program has that. */
async function startApi(
  config: Config,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<{ api: Service; url: string }> {
  const asked = config.up.port;
  const first = asked ?? ((await isFree(DEFAULT_PORT, config.up.host)) ? DEFAULT_PORT : 0);
  // Another program can take 7070 between our look and the start of the API.
  const ports = asked === undefined && first !== 0 ? [first, 0] : [first];
  for (const [index, port] of ports.entries()) {
    const api = await Service.start({
      name: 'API',
      script: join(config.root, 'apps', 'api', 'dist', 'main.js'),
      args: ['--role', 'all', '--migrate'],
      env: { ...env, HOST: config.up.host, PORT: String(port) },
      logFile: join(config.home, 'logs', 'api.log'),
      stopGraceMs: 15_000,
    });
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]);
      const message = await abortable(Promise.race([api.announced, api.ended.then(() => undefined)]), limit);
      if (message !== undefined) return { api, url: (message as { url: string }).url };
    } catch (error) {
      await api.stop();
      throw error;
    }
    const tail = await api.logTail();
    if (index === ports.length - 1 || !tail.some((line) => line.includes('port_taken'))) throw await unexpectedEnd(api);
  }
  throw new Error('unreachable: the last port either worked or threw');
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    );
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

/** Waits until the node of the worker has registered with its slots and holds its lease. */
async function nodeReady(client: Client, worker: Service, slots: number, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]);
  const startedAt = Date.now() - 1000;
  for (;;) {
    const nodes = await client.nodes({ signal: limit });
    const isOurs = (node: (typeof nodes)[number]) =>
      node.state === 'ready' && node.slots.length === slots && Date.parse(node.registeredAt) >= startedAt;
    if (nodes.some(isOurs)) return;
    await sleep(POLL_MS, { signal: limit }).catch((error) => {
      signal.throwIfAborted();
      throw new ClipyardError(
        'node_lost',
        `The worker did not register in ${READY_TIMEOUT_MS / 1000} s; see ${worker.logFile}`,
        { cause: error },
      );
    });
  }
}

async function unexpectedEnd(service: Service): Promise<ClipyardError> {
  const { code, signal } = await service.ended;
  const tail = (await service.logTail()).map((line) => `    ${line}`).join('\n');
  const how = signal === null ? `exit code ${code}` : signal;
  return new ClipyardError(
    'internal',
    `The ${service.name} ended unexpectedly (${how}). The end of ${service.logFile}:\n${tail}`,
  );
}

function stopwatch(): () => string {
  let at = performance.now();
  return () => {
    const seconds = (performance.now() - at) / 1000;
    at = performance.now();
    return `${seconds.toFixed(1)} s`;
  };
}
