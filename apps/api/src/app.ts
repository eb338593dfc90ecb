import { fileURLToPath } from 'node:url';
import { fieldError } from '@clipyard/contracts';
import { createAuthenticator, createControlPlane, createScheduler, WebhookSender } from '@clipyard/control';
import { migrate, openDatabase } from '@clipyard/db';
import { checkModel } from '@clipyard/model';
import { MessageBus } from '@clipyard/queue';
import { type Lifecycle, type Logger, newId } from '@clipyard/runtime';
import { openBlobStore } from '@clipyard/storage';
import { Admission } from './admission.js';
import type { Config } from './config.js';
import { InspectorHost } from './inspector/inspector-host.js';
import { buildServer, listen } from './server.js';

/** The main file of the process that looks into checkpoints, as it is built. */
const INSPECTOR = fileURLToPath(new URL('../dist/inspector/inspector-main.js', import.meta.url));
/** Where `apps/web` is built to. */
const DASHBOARD = fileURLToPath(new URL('../../web/dist', import.meta.url));

/**
 * Starts the API, the scheduler, or both, and resolves with the URL it listens at. What it opens it adds to `lifecycle`,
 * whose `close` drains: requests are finished, event streams end, the scheduler stops, then the stores are closed.
 */
export async function startApp(deps: { logger: Logger; lifecycle: Lifecycle }, config: Config): Promise<string> {
  const { logger, lifecycle } = deps;
  const { databaseUrl, redisUrl, storageUrl } = config;
  if (config.migrate) {
    const applied = await migrate(databaseUrl);
    if (applied.length > 0) logger.info({ migrations: applied }, 'migrated the database');
  }
  const database = lifecycle.use('database', await openDatabase({ url: databaseUrl }));
  const onError = (error: Error, queue: string) => logger.error({ err: error, queue }, 'queue error');
  const bus = lifecycle.use(
    'queue',
    await MessageBus.open({ onError }, { databaseUrl, ...(redisUrl === undefined ? {} : { redisUrl }) }),
  );
  const { allowPrivateWebhooks } = config;
  const control = createControlPlane(
    { database, bus },
    { allowPrivateWebhooks, ...(storageUrl === undefined ? {} : { storageUrl }) },
  );

  const authenticator = createAuthenticator(
    { database },
    config.bootstrapToken === undefined ? {} : { bootstrapToken: config.bootstrapToken },
  );
  if (config.role !== 'scheduler' && config.requireToken && !(await authenticator.hasAdmin()))
    throw nobodyMayEnter(config);

  const store = storageUrl === undefined ? {} : { store: await openBlobStore(storageUrl) };
  const scheduler =
    config.role === 'api'
      ? undefined
      : lifecycle.use('scheduler', createScheduler({ database, bus, logger, ...store }));
  if (scheduler !== undefined) {
    await scheduler.start();
    const sender = new WebhookSender({ database, bus, logger }, { allowPrivate: allowPrivateWebhooks });
    lifecycle.use('webhooks', sender);
    await sender.start();
  }
  const inspector = config.role === 'scheduler' ? undefined : openInspector(config);
  if (inspector !== undefined) lifecycle.add('inspector', () => inspector.close());
  const server = buildServer(
    {
      control,
      admission: new Admission({ authenticator }, config),
      checkModel,
      ...store,
      ...(inspector && { inspector }),
      dashboard: DASHBOARD,
      scheduler,
      logger,
      newRequestId: () => newId('req'),
    },
    {
      routes: config.role === 'scheduler' ? 'health' : 'all',
      rateLimit: config.rateLimit,
      ...(config.tls === undefined ? {} : { tls: config.tls }),
      trustedProxies: config.trustedProxies,
    },
  );
  lifecycle.add('server', () => server.close());
  return await listen(server, config);
}

function nobodyMayEnter({ host }: Config): Error {
  return fieldError('config_invalid', {
    path: 'HOST',
    message: 'lets requests in that need a token, and there is no admin token',
    value: host,
    remedy:
      'Make one with `clipyard token create --database --name me --scopes admin --all-projects`, or set ' +
      'CLIPYARD_BOOTSTRAP_TOKEN (_FILE) to the output of `openssl rand -hex 32`, or HOST to 127.0.0.1.',
  });
}

function openInspector({ storageUrl, dataDir, cacheDir, childEnvironment: env }: Config): InspectorHost | undefined {
  if (storageUrl === undefined) return undefined;
  return new InspectorHost({ script: INSPECTOR, env, storageUrl, dataDir, cacheDir });
}
