import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Client } from '@clipyard/client';
import { ClipyardError, fieldError } from '@clipyard/contracts';
import { EmbeddedPostgres, migrate } from '@clipyard/db';
import { abortable, Lifecycle, withTimeout } from '@clipyard/runtime';
import { z } from 'zod';
import type { Config } from '../config.js';
import { removeServerFile, writeServerFile } from './server-file.js';
import { Service, type ServiceOptions } from './service.js';

export interface Stack {
  readonly url: string;
  readonly client: Client;
  /** Rejects when a process of the stack ends unexpectedly, with the end of its log. Never resolves. */
  readonly failed: Promise<never>;
  /** Ends worker, API and database, in this order. */
  close(): Promise<void>;
}

const DEFAULT_PORT = 7070;
/** Time for API and worker to be ready, ms. */
const READY_TIMEOUT_MS = 60_000;

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
  const database =
    config.up.databaseUrl === undefined
      ? await startDatabase(config, say, lifecycle, signal)
      : { url: config.up.databaseUrl, failed: new Promise<never>(() => {}) };
  const databaseUrl = database.url;
  // Here rather than in the API, so that API and worker start at the same time.
  await migrate(databaseUrl);
  say(
    `database  ${config.up.databaseUrl === undefined ? `PostgreSQL of this checkout on port ${new URL(databaseUrl).port}` : 'as DATABASE_URL says'} (${timed()})`,
  );

  const env = serviceEnvironment(config, databaseUrl);
  let closing = false;
  const owned = (service: Service) => {
    lifecycle.add(service.name, async () => {
      closing = true;
      await service.stop();
    });
    return service;
  };
  // Closed in reverse order: the worker, which records how its ranks ended, before the API.
  const [api, worker] = await allOrNone([startApi(config, env, signal), startWorker(config, env, signal)]);
  const url = z.object({ url: z.url() }).parse(await owned(api).announced).url;
  owned(worker);
  say(`API       ${url}, with the dashboard for a browser`);
  say(`worker    ${config.up.slots} ${config.up.slots === 1 ? 'slot' : 'slots'} (${timed()})`);

  const failed = Promise.race([
    database.failed,
    ...[api, worker].map(async (service) => {
      await service.ended;
      // While we close, they are meant to end.
      return closing ? new Promise<never>(() => {}) : Promise.reject(await unexpectedEnd(service));
    }),
  ]);
  failed.catch(() => {});
  await writeServerFile(config.home, { url, pids: { up: process.pid, api: api.pid, worker: worker.pid } });
  lifecycle.add('server.json', () => removeServerFile(config.home));
  return {
    url,
    client: new Client({}, { url, ...(config.token === undefined ? {} : { token: config.token }) }),
    failed,
    close: () => lifecycle.close(),
  };
}

async function startDatabase(
  config: Config,
  say: (line: string) => void,
  lifecycle: Lifecycle,
  signal: AbortSignal,
): Promise<{ url: string; failed: Promise<never> }> {
  const postgres = new EmbeddedPostgres({ directory: join(config.home, 'postgres') });
  const url = await postgres.start({ signal });
  lifecycle.add('PostgreSQL', () => postgres.stop());
  const over = new AbortController();
  const onRestart = () => say('database  PostgreSQL ended unexpectedly and was started again');
  const kept = postgres.keepUp({ signal: over.signal, onRestart });
  const failed = kept.then(() => new Promise<never>(() => {}));
  failed.catch(() => {});
  lifecycle.add('watch over PostgreSQL', async () => {
    over.abort();
    // Why it could not be kept up was told by `failed`.
    await Promise.allSettled([kept]);
  });
  return { url, failed };
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
async function startApi(config: Config, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Service> {
  const start = (port: number) =>
    startService(
      {
        name: 'API',
        script: join(config.root, 'apps', 'api', 'dist', 'main.js'),
        args: ['--role', 'all'],
        env: { ...env, HOST: config.up.host, PORT: String(port) },
        logFile: join(config.home, 'logs', 'api.log'),
        stopGraceMs: 15_000,
      },
      signal,
    );
  const { port, host } = config.up;
  if (port !== undefined) {
    if (await isFree(port, host)) return await start(port);
    const remedy = 'Stop the program that uses it, or set PORT to another port; unset, a free one is found.';
    throw fieldError('port_taken', { path: 'PORT', message: `is in use on ${host}`, value: port, remedy });
  }
  if (!(await isFree(DEFAULT_PORT, config.up.host))) return await start(0);
  try {
    return await start(DEFAULT_PORT);
  } catch (error) {
    // Another program took it between our look and the start of the API.
    if (!(error instanceof ClipyardError && error.message.includes('port_taken'))) throw error;
    return await start(0);
  }
}

function startWorker(config: Config, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Service> {
  const options = {
    name: 'worker',
    script: join(config.root, 'apps', 'worker', 'dist', 'main.js'),
    args: [],
    env,
    logFile: join(config.home, 'logs', 'worker.log'),
    // Ranks finish their step, which can take long with a large batch.
    stopGraceMs: 60_000,
  };
  return startService(options, signal);
}

/** Starts a process and waits until it announces that it is ready; it is ended when it does not. */
async function startService(options: ServiceOptions, signal: AbortSignal): Promise<Service> {
  const service = await Service.start(options);
  const late = () =>
    new ClipyardError(
      'process_ended',
      `The ${service.name} was not ready in ${READY_TIMEOUT_MS / 1000} s; see ${service.logFile}`,
    );
  const timeout = withTimeout(signal, READY_TIMEOUT_MS, late);
  try {
    const ended = service.ended.then(async () => Promise.reject(await unexpectedEnd(service)));
    await abortable(Promise.race([service.announced, ended]), timeout.signal);
    return service;
  } catch (error) {
    await service.stop();
    throw error;
  } finally {
    timeout.clear();
  }
}

/** All services, or none: when one does not start the others are ended. */
async function allOrNone<const T extends readonly Promise<Service>[]>(
  starting: T,
): Promise<{ [K in keyof T]: Service }> {
  const settled = await Promise.allSettled(starting);
  const failure = settled.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    await Promise.all(settled.map((result) => (result.status === 'fulfilled' ? result.value.stop() : undefined)));
    throw failure.reason;
  }
  return settled.map((result) => (result as PromiseFulfilledResult<Service>).value) as { [K in keyof T]: Service };
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

async function unexpectedEnd(service: Service): Promise<ClipyardError> {
  const { code, signal } = await service.ended;
  const tail = (await service.logTail()).map((line) => `    ${line}`).join('\n');
  const how = signal === null ? `exit code ${code}` : signal;
  return new ClipyardError(
    'process_ended',
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
