import { ClipyardError } from '@clipyard/contracts';
import { createLogger, Lifecycle, onSignals } from '@clipyard/runtime';
import { startApp } from './app.js';
import { loadConfig } from './config.js';

/** A drain that takes longer is cut off, ms; ranks are killed before. */
const DRAIN_LIMIT_MS = 50_000;

const lifecycle = new Lifecycle();
let logger = createLogger({ name: 'worker' });
try {
  const config = loadConfig();
  logger = createLogger({ name: 'worker', level: config.logLevel, fields: { node: config.nodeName } });
  const drain = async (why: string) => {
    logger.info({ why }, 'draining');
    await lifecycle.close();
    logger.info('ended');
  };
  const onForce = (reason: string, error?: unknown) => logger.fatal({ err: error }, `ended by force: ${reason}`);
  onSignals(['SIGINT', 'SIGTERM'], drain, { forceAfterMs: DRAIN_LIMIT_MS, onForce });
  // Whoever started us on an IPC channel is gone, without having been able to tell us to end.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  const agent = await startApp({ logger, lifecycle }, config);
  const { nodeId } = agent;
  void agent.replaced.then(async ({ code, message, fields }) => {
    logger.fatal({ code, fields }, message);
    await lifecycle.close();
    process.exit(1);
  });
  logger.info({ nodeId, slots: config.slots, event: 'ready' }, 'ready');
  process.send?.({ type: 'ready', nodeId });
} catch (error) {
  const { code, message, fields } = ClipyardError.from(error);
  logger.fatal({ code, fields, ...(code === 'internal' ? { err: error } : {}) }, message);
  await lifecycle.close();
  process.exit(1);
}
