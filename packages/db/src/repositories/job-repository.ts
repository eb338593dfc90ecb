import type { JobState, RunSpec, SerializedError } from '@clipyard/contracts';
import { type Job as JobRow, Prisma } from '../generated/client.js';
import { type Client, json, storableText } from './client.js';

export type { JobRow };

/** Where a list goes on: after this job, newest first. */
export interface JobCursor {
  readonly createdAt: Date;
  readonly id: string;
}

export interface StartableJob {
  readonly id: string;
  readonly pool: string;
  readonly minWorld: number;
}

export interface JobChanges {
  readonly state?: JobState;
  readonly reason?: string | null;
  readonly epoch?: number;
  readonly worldSize?: number | null;
  readonly step?: number;
  readonly totalSteps?: number;
  readonly latest?: Readonly<Record<string, number>>;
  readonly restartsInfrastructure?: number;
  readonly restartsUser?: number;
  readonly failuresInARow?: number;
  readonly failedAtCheckpoint?: number;
  readonly error?: SerializedError | null;
  readonly startedAt?: Date;
  readonly finishedAt?: Date;
}

export class JobRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async create(id: string, spec: RunSpec): Promise<JobRow> {
    return await this.#client.job.create({
      data: {
        id,
        name: spec.name,
        state: 'queued',
        labels: spec.labels,
        priority: spec.resources.priority,
        pool: spec.resources.pool,
        spec: json(spec),
      },
    });
  }

  async find(id: string): Promise<JobRow | null> {
    return await this.#client.job.findUnique({ where: { id } });
  }

  /** Locks the row until the transaction ends. Every change of a job, its attempts, ranks and events happens under this lock. */
  async lock(id: string): Promise<JobRow | null> {
    const locked = await this.#client.$queryRaw<unknown[]>`SELECT 1 FROM job WHERE id = ${id} FOR NO KEY UPDATE`;
    return locked.length === 0 ? null : await this.find(id);
  }

  async update(id: string, changes: JobChanges): Promise<JobRow> {
    const { latest, error, reason, ...rest } = changes;
    return await this.#client.job.update({
      where: { id },
      data: {
        ...rest,
        ...(latest === undefined ? {} : { latest }),
        ...(reason === undefined ? {} : { reason: reason === null ? null : storableText(reason) }),
        ...(error === undefined ? {} : { error: error === null ? Prisma.DbNull : json(error) }),
      },
    });
  }

  /** Not to be started for `delayMs` from now, by the database's clock. */
  async delay(id: string, delayMs: number): Promise<void> {
    await this.#client.$executeRaw`
      UPDATE job SET not_before = clock_timestamp() + make_interval(secs => ${delayMs / 1000}) WHERE id = ${id}`;
  }

  /**
   * Jobs that may start now and whose smallest world fits the free slots of their pool, in the order in which they
   * should. Those that do not fit are left out here, so that many of them never hide one that does behind `limit`.
   */
  async startable(freeSlots: ReadonlyMap<string, number>, limit: number): Promise<StartableJob[]> {
    const [pools, free] = [[...freeSlots.keys()], [...freeSlots.values()]];
    return await this.#client.$queryRaw<StartableJob[]>`
      SELECT id, job.pool, (spec #>> '{resources,world,min}')::int AS "minWorld"
      FROM job JOIN unnest(${pools}::text[], ${free}::int[]) AS open(pool, slots) ON open.pool = job.pool
      WHERE state IN ('queued', 'recovering') AND (not_before IS NULL OR not_before <= clock_timestamp())
        AND (spec #>> '{resources,world,min}')::int <= open.slots
      ORDER BY priority DESC, created_at, id LIMIT ${limit}`;
  }

  /** Milliseconds until the next job that waits for its time may start; undefined: none waits. */
  async msToNextDue(): Promise<number | undefined> {
    const rows = await this.#client.$queryRaw<{ ms: number | null }[]>`
      SELECT (extract(epoch FROM min(not_before) - clock_timestamp()) * 1000)::float8 AS ms FROM job
      WHERE state IN ('queued', 'recovering') AND not_before > clock_timestamp()`;
    return rows[0]?.ms ?? undefined;
  }

  /** Newest first. `label` is `key` or `key=value`. */
  async list(query: { state?: JobState; label?: string; after?: JobCursor; limit: number }): Promise<JobRow[]> {
    const { state, label, after, limit } = query;
    const [key, value] = label === undefined ? [] : splitLabel(label);
    const filters: Prisma.JobWhereInput[] = [];
    if (state !== undefined) filters.push({ state });
    if (key !== undefined) {
      filters.push({ labels: { path: [key], ...(value === undefined ? { not: Prisma.AnyNull } : { equals: value }) } });
    }
    if (after !== undefined) {
      filters.push({
        OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }],
      });
    }
    return await this.#client.job.findMany({
      where: { AND: filters },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit,
    });
  }
}

function splitLabel(label: string): [string, string?] {
  const at = label.indexOf('=');
  return at < 0 ? [label] : [label.slice(0, at), label.slice(at + 1)];
}
