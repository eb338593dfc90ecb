import type { MetricSeries } from '@clipyard/contracts';
import { server } from '../server/server.js';
import type { Series } from './series.js';

/** The metrics of a job, all or those that are named, in at most so many buckets of steps. */
export async function loadSeries(
  jobId: string,
  { names, ...query }: { names?: readonly string[]; buckets: number; fromStep?: number; toStep?: number },
  signal: AbortSignal,
): Promise<Series[]> {
  const found = await server.metricSeries(
    jobId,
    { ...query, ...(names === undefined ? {} : { name: names }) },
    { signal },
  );
  return found.map(toSeries);
}

const toSeries = ({ name, bucketSteps, lastStep, mean, min, max }: MetricSeries): Series => ({
  name,
  bucketSteps,
  step: lastStep,
  mean,
  min,
  max,
});
