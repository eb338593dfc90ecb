import { ClipyardError } from '@clipyard/contracts';
import { createLogger, Lifecycle, onSignals } from '@clipyard/runtime';
import { startApp } from './app.js';
import { loadConfig } from './config.js';

/** A drain that takes longer is cut off, ms. */
const DRAIN_LIMIT_MS = 10_000;

const lifecycle = new Lifecycle();
let logger = createLogger({ name: 'api' });
try {
  const config = loadConfig();
  logger = createLogger({ name: 'api', level: config.logLevel });
  const drain = async (why: string) => {
    logger.info({ why }, 'draining');
    await lifecycle.close();
    logger.info('ended');
  };
  const onForce = (reason: string, error?: unknown) => logger.fatal({ err: error }, `ended by force: ${reason}`);
  onSignals(['SIGINT', 'SIGTERM'], drain, { forceAfterMs: DRAIN_LIMIT_MS, onForce });
  // Whoever started us on an IPC channel is gone, without having been able to tell us to end.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  const url = await startApp({ logger, lifecycle }, config);
  logger.info({ url, role: config.role, event: 'ready' }, 'ready');
  process.send?.({ type: 'ready', url });
} catch (error) {
  const { code, message, fields } = ClipyardError.from(error);
  logger.fatal({ code, fields, ...(code === 'internal' ? { err: error } : {}) }, message);
  await lifecycle.close();
  process.exit(1);
}
