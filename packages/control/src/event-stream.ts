import type { JobEvent } from '@clipyard/contracts';
import type { Database } from '@clipyard/db';
import { isOver } from './fence.js';
import { eventView } from './views.js';

/** Events read at once. */
const BATCH = 500;
/** Look without being notified, ms: a notification is lost when the listening connection breaks. */
const POLL_MS = 2000;

/** Events of a job after an id: what is stored, then live, until the signal aborts or the job, its attempts and evaluations ended. */
export async function* streamEvents(
  database: Database,
  jobId: string,
  options: { after: bigint; skipStoredMetrics?: boolean; signal: AbortSignal },
): AsyncGenerator<JobEvent> {
  const { signal } = options;
  const listener = await database.listener();
  let wake: () => void = () => {};
  let news = true;
  const ring = (): void => {
    news = true;
    wake();
  };
  const off = listener.on('clipyard_event', (id) => {
    if (id === jobId || id === '') ring();
  });
  signal.addEventListener('abort', ring);
  let last = options.after;
  const metricsAfter = options.skipStoredMetrics ? await database.read((db) => db.events.newestId(jobId)) : undefined;
  try {
    while (!signal.aborted) {
      news = false;
      // The end is read before the events: all events of a job that has ended are then there.
      const ended = await hasJobEnded(database, jobId);
      const rows = await database.read((db) => db.events.after(jobId, last, BATCH, metricsAfter));
      for (const row of rows) {
        if (signal.aborted) return;
        last = row.id;
        yield eventView(row);
      }
      if (rows.length === BATCH) continue;
      if (ended) return;
      if (news || signal.aborted) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, POLL_MS);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    off();
    signal.removeEventListener('abort', ring);
  }
}

/** Its evaluations too: they tell it what they have found. */
async function hasJobEnded(database: Database, jobId: string): Promise<boolean> {
  return await database.read(async (db) => {
    const job = await db.jobs.find(jobId);
    if (job === null) return true;
    return (await isOver(db, job)) && (await db.jobs.unsettledEvaluations(jobId)).length === 0;
  });
}
