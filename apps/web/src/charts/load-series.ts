import { server } from '../server/server.js';
import { bucketed, type Series, toSeries } from './series.js';

/** Most points in one answer of the server. */
const PAGE = 10_000;
/** Pages that are read at most. */
const MOST_PAGES = 20;

/** The metrics of a job: all, or those that are named. */
export async function loadSeries(
  jobId: string,
  { names, buckets, afterStep }: { names?: readonly string[]; buckets: number; afterStep?: number },
  signal: AbortSignal,
): Promise<Series[]> {
  const points = [];
  const name = names?.length === 1 ? { name: names[0]! } : {};
  let after = afterStep;
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = { ...name, limit: PAGE, ...(after === undefined ? {} : { afterStep: after }) };
    const found = await server.metrics(jobId, query, { signal });
    points.push(...found);
    if (found.length < PAGE) break;
    after = found.at(-1)!.step - 1;
  }
  return toSeries(points).map((series) => bucketed(series, buckets));
}
