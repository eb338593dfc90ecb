import { fieldError, LIMITS, type MetricName, type MetricPoint, type MetricSeries } from '@clipyard/contracts';
import { bucketGrid, type Repositories } from '@clipyard/db';
import type { MetricRange } from './control-plane.js';
import { metricNameView, metricSeriesView, metricView } from './views.js';

/** What a job has reported, read as points or in buckets of steps. */

interface Steps {
  readonly names?: readonly string[];
  readonly fromStep: number;
  readonly toStep?: number;
}

export async function listMetrics(
  db: Repositories,
  jobId: string,
  { limit, ...range }: MetricRange & { limit: number },
): Promise<MetricPoint[]> {
  return (await db.metrics.list(jobId, { ...stepsOf(range), limit })).map(metricView);
}

export async function listMetricNames(db: Repositories, jobId: string): Promise<MetricName[]> {
  return (await db.metrics.extents(jobId)).map(metricNameView);
}

/** Of all metrics the same buckets, which fill the steps that there are points of within the range. */
export async function listMetricSeries(
  db: Repositories,
  jobId: string,
  { buckets, ...range }: MetricRange & { buckets: number },
): Promise<MetricSeries[]> {
  const wanted = stepsOf(range);
  const extents = await db.metrics.extents(jobId, wanted.names);
  const most = Math.floor(LIMITS.metricBuckets / extents.length);
  if (buckets > most) {
    throw fieldError('request_invalid', {
      path: 'buckets',
      message: `of ${extents.length} metrics are more than ${LIMITS.metricBuckets} in all`,
      value: buckets,
      remedy: `Ask for at most ${most}, or name fewer metrics with \`name\`.`,
    });
  }
  const fromStep = Math.max(wanted.fromStep, Math.min(...extents.map(({ firstStep }) => firstStep)));
  const toStep = Math.min(
    wanted.toStep ?? Number.POSITIVE_INFINITY,
    Math.max(...extents.map(({ lastStep }) => lastStep)),
  );
  if (extents.length === 0 || fromStep > toStep) return [];
  const names = extents.map(({ name }) => name);
  const grid = bucketGrid(fromStep, toStep, buckets);
  return (await db.metrics.series(jobId, names, grid)).map((row) => metricSeriesView(row, grid.width));
}

function stepsOf({ name, afterStep, fromStep, toStep }: MetricRange): Steps {
  const from = Math.max(fromStep ?? 0, (afterStep ?? -1) + 1);
  if (toStep !== undefined && from > toStep) {
    throw fieldError('request_invalid', {
      path: 'toStep',
      message: `is before the first step, ${from}`,
      value: toStep,
      remedy: 'Give a step from `fromStep` on.',
    });
  }
  return { ...(name !== undefined && { names: name }), fromStep: from, ...(toStep !== undefined && { toStep }) };
}
