import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createNodeControl } from '@clipyard/control';
import { openDatabase } from '@clipyard/db';
import { MessageBus } from '@clipyard/queue';
import { type Lifecycle, type Logger, retry, withLargePages } from '@clipyard/runtime';
import { Agent } from './agent.js';
import { enginesOf } from './built-engines.js';
import type { Config } from './config.js';
import { serveHealth } from './health.js';
import { workerMetrics } from './prometheus.js';

/** Time for a rank that is told to stop to finish its step and what it writes of a checkpoint, before SIGTERM, ms. */
const STOP_GRACE_MS = 30_000;
/** The same for a rank that is to write one first, since its job pauses, ms. */
const SAVE_GRACE_MS = 600_000;
/** Time from SIGTERM to SIGKILL, ms. */
const KILL_GRACE_MS = 5_000;
/** The database may still be starting, or the API be about to migrate it, ms. */
const START_LIMIT_MS = 60_000;

/** Starts the agent of this host; what it opens it adds to `lifecycle`, whose `close` drains. */
export async function startApp(deps: { logger: Logger; lifecycle: Lifecycle }, config: Config): Promise<Agent> {
  const { logger, lifecycle } = deps;
  const {
    databaseUrl,
    redisUrl,
    storageUrl,
    dataDir,
    dataS3,
    cacheDir,
    enginesDir,
    listenHost,
    advertiseHost,
    threads,
  } = config;
  let agent: Agent | undefined;
  if (config.healthPort !== undefined) {
    const metrics = lifecycle.use(
      'metrics',
      workerMetrics(() => agent, config),
    );
    const options = { host: listenHost, port: config.healthPort, metrics };
    lifecycle.use('health', await serveHealth(() => agent?.health ?? 'not registered yet', options));
  }
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  const limit = Date.now() + START_LIMIT_MS;
  const patiently = <T>(what: string, action: () => Promise<T>): Promise<T> =>
    retry(action, {
      backoff: { initialMs: 100, maxMs: 2_000 },
      shouldRetry: () => Date.now() < limit,
      onRetry: (error) => logger.warn({ reason: (error as Error).message }, `${what}: not yet; trying again`),
    });

  const openBus = () =>
    MessageBus.open(
      { onError: (error, queue) => logger.error({ err: error, queue }, 'queue error') },
      { databaseUrl, ...(redisUrl === undefined ? {} : { redisUrl }) },
    );
  const database = lifecycle.use('database', await patiently('database', () => openDatabase({ url: databaseUrl })));
  const bus = lifecycle.use('queue', await patiently('queue', openBus));
  const options = {
    registration: {
      name: config.nodeName,
      pool: config.pool,
      host: advertiseHost,
      version: String(manifest.version),
      engines: await enginesOf(enginesDir),
      slots: config.slots,
    },
    process: {
      script: fileURLToPath(new URL('./rank-main.js', import.meta.url)),
      environment: withLargePages(config.rankEnvironment),
      stopGraceMs: STOP_GRACE_MS,
      saveGraceMs: SAVE_GRACE_MS,
      killGraceMs: KILL_GRACE_MS,
    },
    place: { storageUrl, dataDir, dataS3, cacheDir, enginesDir, listenHost, advertiseHost, threads },
  };
  const control = createNodeControl({ database, bus });
  agent = await patiently('registration', () => Agent.start({ control, logger }, options));
  return lifecycle.use('agent', agent);
}
