import type { Metric as MetricRow } from '../generated/client.js';
import type { Client } from './client.js';
import { type BucketGrid, MetricBuckets, type MetricExtent, type MetricSeriesRow } from './metric-buckets.js';

export type { BucketGrid, MetricExtent, MetricRow, MetricSeriesRow };

export interface MetricValue {
  readonly name: string;
  readonly step: number;
  /** Finite, and its magnitude at most 1e300: sums of them are too. */
  readonly value: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The caller of `record` holds the lock of the job's row. */
export class MetricRepository {
  readonly #client: Client;
  readonly #buckets: MetricBuckets;

  constructor(client: Client) {
    this.#client = client;
    this.#buckets = new MetricBuckets(client);
  }

  /** Writes points of one attempt, in one statement; a later point of the same name and step wins. */
  async record(jobId: string, epoch: number, points: readonly MetricValue[]): Promise<void> {
    const unique = [...new Map(points.map((point) => [`${point.step} ${point.name}`, point])).values()];
    if (unique.length === 0) return;
    await this.#client.$executeRaw`
      INSERT INTO metric (job_id, epoch, name, step, value, at)
      SELECT ${jobId}, ${epoch}, p.name, p.step, p.value, to_timestamp(p.at / 1000)
      FROM unnest(${unique.map((p) => p.name)}::text[], ${unique.map((p) => p.step)}::int[],
                  ${unique.map((p) => p.value)}::float8[], ${unique.map((p) => p.at)}::float8[]) AS p(name, step, value, at)
      ON CONFLICT (job_id, name, step) DO UPDATE SET value = excluded.value, epoch = excluded.epoch, at = excluded.at`;
    await this.#buckets.update(jobId, unique);
  }

  /** By step, then name. At `limit` the last step is still given whole, so that the next page may begin after it. */
  async list(
    jobId: string,
    query: { names?: readonly string[]; fromStep?: number; toStep?: number; limit: number },
  ): Promise<MetricRow[]> {
    const { names, fromStep, toStep, limit } = query;
    const step = { ...(fromStep !== undefined && { gte: fromStep }), ...(toStep !== undefined && { lte: toStep }) };
    const named = names === undefined ? {} : { in: [...names] };
    const rows = await this.#client.metric.findMany({
      where: { jobId, name: named, step },
      orderBy: [{ step: 'asc' }, { name: 'asc' }],
      take: limit,
    });
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit || names?.length === 1) return rows;
    const rest = await this.#client.metric.findMany({
      where: { jobId, step: last.step, name: { ...named, gt: last.name } },
      orderBy: { name: 'asc' },
    });
    return [...rows, ...rest];
  }

  /** Which metrics there are, by name; of these names only, if given. */
  async extents(jobId: string, names?: readonly string[]): Promise<MetricExtent[]> {
    return await this.#buckets.extents(jobId, names);
  }

  /** The points of each metric in the buckets of a grid, by name, then bucket; those without a point are left out. */
  async series(jobId: string, names: readonly string[], grid: BucketGrid): Promise<MetricSeriesRow[]> {
    return await this.#buckets.series(jobId, names, grid);
  }

  /** The last step that one of the metrics has a value of; -1: none. */
  async newestStep(jobId: string, names: readonly string[]): Promise<number> {
    const { _max } = await this.#client.metric.aggregate({
      where: { jobId, name: { in: [...names] } },
      _max: { step: true },
    });
    return _max.step ?? -1;
  }

  /** The median of a metric over the reports after a step; undefined: there is none. */
  async median(jobId: string, name: string, afterStep: number): Promise<number | undefined> {
    const [row] = await this.#client.$queryRaw<{ median: number | null }[]>`
      SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS median FROM metric
      WHERE job_id = ${jobId} AND name = ${name} AND step > ${afterStep}`;
    return row?.median ?? undefined;
  }
}
