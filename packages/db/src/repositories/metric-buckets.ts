import { Prisma } from '../generated/client.js';
import type { Client } from './client.js';

/** Steps of a stored bucket, by level. Each level is a multiple of the one before. */
const WIDTHS = [16, 64, 256, 1024, 4096] as const;
const WIDEST = 4096;

/** How much wider than asked for a bucket may be to be read from stored ones; from the narrowest of them in any case. */
const WIDENING = 1.5;

/** Buckets of `width` steps, the first from `origin`; steps outside `fromStep` to `toStep` do not count. */
export interface BucketGrid {
  readonly fromStep: number;
  readonly toStep: number;
  readonly origin: number;
  readonly width: number;
  /** Steps of the stored buckets that it is read from; 1: from the points. */
  readonly stored: number;
}

/** At most `buckets` of them over the steps from `fromStep` to `toStep`, each a whole number of stored ones if possible. */
export function bucketGrid(fromStep: number, toStep: number, buckets: number): BucketGrid {
  const least = Math.ceil((toStep - fromStep + 1) / buckets);
  for (const stored of [...WIDTHS].reverse()) {
    const origin = fromStep - (fromStep % stored);
    const width = Math.ceil((toStep - origin + 1) / buckets / stored) * stored;
    const fits = width <= WIDENING * least || (stored === WIDTHS[0] && least >= stored);
    if (fits) return { fromStep, toStep, origin, width, stored };
  }
  return { fromStep, toStep, origin: fromStep, width: least, stored: 1 };
}

export interface MetricExtent {
  readonly name: string;
  readonly points: number;
  readonly firstStep: number;
  readonly lastStep: number;
  /** Value at the last step. */
  readonly latest: number;
  readonly at: Date;
}

/** Columns of equal length, one entry a bucket. */
export interface MetricSeriesRow {
  readonly name: string;
  readonly firstStep: number[];
  readonly lastStep: number[];
  readonly count: number[];
  readonly sum: number[];
  readonly min: number[];
  readonly max: number[];
  readonly first: number[];
  readonly last: number[];
}

const ON_CONFLICT = Prisma.sql`
  ON CONFLICT (job_id, width, name, start) DO UPDATE SET count = excluded.count, sum = excluded.sum, min = excluded.min,
    max = excluded.max, first_step = excluded.first_step, first = excluded.first, last_step = excluded.last_step,
    last = excluded.last`;

/** Points summed up by runs of steps, kept beside them: exact, since each is made anew from what lies in it. */
export class MetricBuckets {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Makes those anew that points were written to. */
  async update(jobId: string, points: readonly { readonly name: string; readonly step: number }[]): Promise<void> {
    for (const [level, width] of WIDTHS.entries()) {
      const touched = new Map<string, { name: string; start: number }>();
      for (const { name, step } of points) {
        const start = step - (step % width);
        touched.set(`${start} ${name}`, { name, start });
      }
      const buckets = [...touched.values()];
      const names = buckets.map(({ name }) => name);
      const starts = buckets.map(({ start }) => start);
      if (level === 0) await this.#fromPoints(jobId, width, names, starts);
      else await this.#fromBuckets(jobId, width, WIDTHS[level - 1]!, names, starts);
    }
  }

  async #fromPoints(jobId: string, width: number, names: string[], starts: number[]): Promise<void> {
    await this.#client.$executeRaw`
      INSERT INTO metric_bucket (job_id, width, name, start, count, sum, min, max, first_step, first, last_step, last)
      SELECT ${jobId}, ${width}, t.name, t.start, b.*
      FROM unnest(${names}::text[], ${starts}::int[]) AS t(name, start) CROSS JOIN LATERAL (
        SELECT count(*), sum(value), min(value), max(value),
          min(step), (min(ARRAY[step, value]))[2], max(step), (max(ARRAY[step, value]))[2]
        FROM metric
        WHERE job_id = ${jobId} AND name = t.name AND step BETWEEN t.start AND t.start + (${width}::int - 1)) AS b
      ${ON_CONFLICT}`;
  }

  async #fromBuckets(jobId: string, width: number, below: number, names: string[], starts: number[]): Promise<void> {
    await this.#client.$executeRaw`
      INSERT INTO metric_bucket (job_id, width, name, start, count, sum, min, max, first_step, first, last_step, last)
      SELECT ${jobId}, ${width}, t.name, t.start, b.*
      FROM unnest(${names}::text[], ${starts}::int[]) AS t(name, start) CROSS JOIN LATERAL (
        SELECT sum(count), sum(sum), min(min), max(max),
          min(first_step), (min(ARRAY[first_step, first]))[2], max(last_step), (max(ARRAY[last_step, last]))[2]
        FROM metric_bucket
        WHERE job_id = ${jobId} AND width = ${below} AND name = t.name
          AND start BETWEEN t.start AND t.start + (${width}::int - 1)) AS b
      ${ON_CONFLICT}`;
  }

  async extents(jobId: string, names?: readonly string[]): Promise<MetricExtent[]> {
    return await this.#client.$queryRaw<MetricExtent[]>`
      SELECT e.*, m.value AS latest, m.at FROM (
        SELECT name, sum(count)::int AS points, min(first_step) AS "firstStep", max(last_step) AS "lastStep"
        FROM metric_bucket
        WHERE job_id = ${jobId} AND width = ${WIDEST} AND (${names === undefined} OR name = ANY(${names ?? []}::text[]))
        GROUP BY name) AS e
      JOIN metric AS m ON m.job_id = ${jobId} AND m.name = e.name AND m.step = e."lastStep"
      ORDER BY e.name`;
  }

  async series(jobId: string, names: readonly string[], grid: BucketGrid): Promise<MetricSeriesRow[]> {
    const { fromStep, toStep, origin, width, stored } = grid;
    // Stored buckets that lie wholly within; what is left at both ends is read from the points.
    const begin = stored === 1 ? toStep + 1 : Math.ceil(fromStep / stored) * stored;
    const end = stored === 1 ? toStep : Math.max(begin, Math.floor((toStep + 1) / stored) * stored) - 1;
    return await this.#client.$queryRaw<MetricSeriesRow[]>`
      WITH part AS (
        SELECT name, count, sum, min, max, first_step, first, last_step, last FROM metric_bucket
        WHERE job_id = ${jobId} AND width = ${stored} AND name = ANY(${names}::text[]) AND start BETWEEN ${begin} AND ${end}
        UNION ALL
        SELECT name, 1, value, value, value, step, value, step, value FROM metric
        WHERE job_id = ${jobId} AND name = ANY(${names}::text[])
          AND (step BETWEEN ${fromStep} AND ${Math.min(toStep, begin - 1)} OR step BETWEEN ${end + 1} AND ${toStep})
      ), bucket AS (
        SELECT name, (first_step - ${origin}::int) / ${width}::int AS at, sum(count)::int AS count, sum(sum) AS sum,
          min(min) AS min, max(max) AS max,
          min(first_step) AS first_step, (min(ARRAY[first_step, first]))[2] AS first,
          max(last_step) AS last_step, (max(ARRAY[last_step, last]))[2] AS last
        FROM part GROUP BY 1, 2
      )
      SELECT name, array_agg(first_step ORDER BY at) AS "firstStep", array_agg(last_step ORDER BY at) AS "lastStep",
        array_agg(count ORDER BY at) AS count, array_agg(sum ORDER BY at) AS sum,
        array_agg(min ORDER BY at) AS min, array_agg(max ORDER BY at) AS max,
        array_agg(first ORDER BY at) AS first, array_agg(last ORDER BY at) AS last
      FROM bucket GROUP BY name ORDER BY name`;
  }
}
