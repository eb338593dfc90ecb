import type { Metric as MetricRow } from '../generated/client.js';
import type { Client } from './client.js';

export type { MetricRow };

export interface MetricValue {
  readonly name: string;
  readonly step: number;
  readonly value: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export class MetricRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
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
  }

  /** By step, then name. At `limit` the last step is still given whole, so that the next page may begin after it. */
  async list(jobId: string, query: { name?: string; afterStep?: number; limit: number }): Promise<MetricRow[]> {
    const where = {
      jobId,
      ...(query.name === undefined ? {} : { name: query.name }),
      ...(query.afterStep === undefined ? {} : { step: { gt: query.afterStep } }),
    };
    const rows = await this.#client.metric.findMany({
      where,
      orderBy: [{ step: 'asc' }, { name: 'asc' }],
      take: query.limit,
    });
    const last = rows.at(-1);
    if (last === undefined || rows.length < query.limit || query.name !== undefined) return rows;
    const rest = await this.#client.metric.findMany({
      where: { jobId, step: last.step, name: { gt: last.name } },
      orderBy: { name: 'asc' },
    });
    return [...rows, ...rest];
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
