import { createServer } from 'node:net';
import { openDatabase } from '@clipyard/db';
import { MessageBus } from '@clipyard/queue';
import { newId, redactUrl } from '@clipyard/runtime';
import { openBlobStore } from '@clipyard/storage';
import type { Config } from '../config.js';
import { type Context, clientOf, DEFAULT_URL, type ServerOptions, serverUrl } from '../context.js';
import { readServerFile } from '../up/server-file.js';
import { type Finding, fail, found, ok, warn } from './finding.js';

/** How far clocks may be apart before tokens, signatures of S3 and times on pages are off, ms. */
const CLOCK_LIMIT_MS = 5_000;
/** Longest wait for a store or a server, ms. */
const ANSWER_LIMIT_MS = 10_000;

/** The stores that the environment names; `clipyard up` brings what it does not name. */
export async function checkStores({ up }: Config): Promise<Finding[]> {
  const { databaseUrl, redisUrl, storageUrl } = up;
  return [
    ...(databaseUrl === undefined
      ? [ok('Postgres', 'DATABASE_URL is not set: `clipyard up` brings its own')]
      : await checkDatabase(databaseUrl)),
    ...(redisUrl === undefined
      ? [ok('Redis', 'REDIS_URL is not set: the queues are in Postgres')]
      : [await checkRedis(redisUrl)]),
    await checkStorage(storageUrl),
  ];
}

async function checkDatabase(url: string): Promise<Finding[]> {
  const where = redactUrl(url);
  const remedy = 'Is it running, is DATABASE_URL right, may this host connect (pg_hba.conf, firewall)?';
  let clock: Finding | undefined;
  const finding = await found('Postgres', remedy, async () => {
    const database = await openDatabase({ url, connections: 1, connectTimeoutMs: ANSWER_LIMIT_MS });
    try {
      const before = Date.now();
      const now = await database.now();
      clock = clockFinding('the database', now.getTime() - (before + Date.now()) / 2);
      return ok('Postgres', where);
    } finally {
      await database.close();
    }
  });
  return clock === undefined ? [finding] : [finding, clock];
}

function checkRedis(redisUrl: string): Promise<Finding> {
  const remedy = 'Is it running, are REDIS_URL and its password right, may this host connect?';
  return found('Redis', remedy, async () => {
    const bus = await MessageBus.open({ onError: () => {} }, { databaseUrl: '', redisUrl });
    try {
      await bus.ping();
      return ok('Redis', redactUrl(redisUrl));
    } finally {
      await bus.close();
    }
  });
}

/** Writes, reads and removes a small blob. */
function checkStorage(storageUrl: string): Promise<Finding> {
  const remedy = 'Check STORAGE_URL, and the rights of this user there.';
  return found('blob store', remedy, async () => {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    const store = await openBlobStore(storageUrl, { signal });
    const key = `doctor/${newId('probe')}`;
    const written = Buffer.from(key);
    await store.put(key, written, { signal });
    const read = await store.read(key, { signal });
    await store.delete(key, { signal });
    if (!written.equals(read)) throw new Error('it gave back other bytes than were written');
    return ok('blob store', `${storageUrl}: written, read and removed`);
  });
}

/** Whether the port that `clipyard up` takes is free, or its own server has it. */
export async function checkPort({ up, home }: Config, port = up.port ?? 7070): Promise<Finding> {
  const running = await readServerFile(home);
  if (running !== undefined && Number(new URL(running.url).port) === port)
    return ok('port', `${port} is taken by the server of this home`);
  const free = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, up.host, () => server.close(() => resolve(true)));
  });
  if (free) return ok('port', `${port} is free on ${up.host}`);
  const remedy = 'Stop what uses it, or set PORT.';
  const detail = `${port} on ${up.host} is taken by another program`;
  return up.port === undefined
    ? warn('port', `${detail}; \`clipyard up\` takes another`, remedy)
    : fail('port', detail, remedy);
}

/** The server that commands talk to: reachable, ready, its clock; no failure where none was named and none runs. */
export async function checkServer(context: Context, options: ServerOptions): Promise<Finding[]> {
  const { config } = context;
  const named = await serverUrl(context, options);
  const isDefault = named === DEFAULT_URL && options.url === undefined && config.url === undefined;
  if (isDefault && (await readServerFile(config.home)) === undefined)
    return [ok('server', 'none is named by CLIPYARD_URL or `clipyard login`, and none of this home runs')];
  const remedy = `Is it running (\`npm start\`, or docker compose ps), and is ${named} its address?`;
  let clock: Finding | undefined;
  const server = await found('server', remedy, async () => {
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(ANSWER_LIMIT_MS)]);
    const before = Date.now();
    const response = await fetch(new URL('/healthz', named), { signal });
    const date = Date.parse(response.headers.get('date') ?? '');
    // The header has whole seconds, rounded down.
    if (!Number.isNaN(date)) clock = clockFinding('the server', date + 500 - (before + Date.now()) / 2);
    const client = await clientOf(context, options);
    const { status, checks } = await client.health({ signal });
    const ill = Object.entries(checks).flatMap(([name, state]) => (state === 'ok' ? [] : [`${name}: ${state}`]));
    if (status !== 'ok') return fail('server', `${named}: ${ill.join(', ')}`, 'Look into its log.');
    // A token that is missing or refused shows here.
    await client.list({ limit: 1 }, { signal });
    return ok('server', `${named} is ready`);
  });
  return clock === undefined ? [server] : [server, clock];
}

export function clockFinding(whose: string, aheadMs: number): Finding {
  const seconds = (Math.abs(aheadMs) / 1000).toFixed(1);
  if (Math.abs(aheadMs) <= CLOCK_LIMIT_MS) return ok('clock', `that of ${whose} agrees within ${seconds} s`);
  const detail = `that of ${whose} is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's`;
  return warn('clock', detail, 'Synchronise both, such as by chrony or systemd-timesyncd.');
}
