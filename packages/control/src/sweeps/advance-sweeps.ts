import type { Database } from '@clipyard/db';
import type { Logger } from '@clipyard/runtime';
import { advanceSweep } from './advance-sweep.js';

/** Does what there is to do for every open sweep. One that cannot be advanced holds up neither the others nor the jobs. */
export async function advanceSweeps(database: Database, logger: Pick<Logger, 'info' | 'error'>): Promise<void> {
  for (const sweep of await database.read((db) => db.sweeps.open())) {
    try {
      const done = await database.transaction((tx) => advanceSweep(tx, sweep));
      if (done.length > 0) logger.info({ sweep, done }, 'advanced a sweep');
    } catch (error) {
      logger.error({ sweep, err: error }, 'a sweep could not be advanced');
    }
  }
}
