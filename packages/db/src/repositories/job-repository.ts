import {
  type Duration,
  JOB_FINAL_STATES,
  type JobState,
  type RunSpec,
  type SerializedError,
} from '@clipyard/contracts';
import { type Job as JobRow, Prisma } from '../generated/client.js';
import { type Client, json, type Rows, storableText } from './client.js';
import { type JobListQuery, jobById, jobList } from './job-list.js';

export type { JobRow };

/** What a job asks of the nodes that it runs on. */
export interface JobNeeds {
  readonly pool: string;
  /** The engine that its nodes must have; null: any will do. */
  readonly engine: string | null;
  readonly minWorld: number;
}

export interface StartableJob extends JobNeeds {
  readonly id: string;
}

export interface FreeCount {
  readonly pool: string;
  /** null: of all nodes. */
  readonly engine: string | null;
  readonly slots: number;
}

export interface JobChanges {
  readonly state?: JobState;
  readonly reason?: string | null;
  readonly epoch?: number;
  readonly worldSize?: number | null;
  readonly step?: number;
  readonly totalSteps?: number;
  readonly pauseAt?: Duration | null;
  readonly pauseStep?: number | null;
  readonly latest?: Readonly<Record<string, number>>;
  /** Of any shape that JSON has. */
  readonly alarms?: object;
  readonly restartsInfrastructure?: number;
  readonly restartsUser?: number;
  readonly failuresInARow?: number;
  readonly failedAtCheckpoint?: number;
  readonly error?: SerializedError | null;
  readonly startedAt?: Date;
  readonly finishedAt?: Date | null;
  readonly settled?: boolean;
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly priority?: number;
}

/** A job that waits for slots, with its place among those of its pool, from 1. */
export interface WaitingJob extends JobNeeds {
  readonly id: string;
  readonly position: number;
  readonly name: string;
  readonly state: JobState;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly maxWorld: number;
  /** Whether it has not to be started yet. */
  readonly delayed: boolean;
  /** Whether it is an evaluation whose run waits, too, and goes first. */
  readonly afterRun: boolean;
  readonly notBefore: Date | null;
  readonly createdAt: Date;
}

/** Where the list of waiting jobs goes on: after this one. */
export interface QueueCursor {
  readonly priority: number;
  readonly createdAt: Date;
  readonly id: string;
}

export interface NewJob {
  readonly project: string;
  /** Where it pauses by itself. */
  readonly pauseAt?: Duration;
  /** The run that it measures a checkpoint of. */
  readonly evaluates?: string;
  /** Goes on with the optimizer state of the checkpoint that `model.init` names. */
  readonly resumesInit?: boolean;
}

/** The word of the spec for any engine. */
const ANY_ENGINE = 'auto';
const NEEDS = Prisma.sql`job.pool, (spec #>> '{resources,world,min}')::int AS "minWorld",
  nullif(spec #>> '{resources,engine}', ${ANY_ENGINE}) AS engine`;
const DUE = Prisma.sql`state IN ('queued', 'recovering') AND (not_before IS NULL OR not_before <= clock_timestamp())`;

export class JobRepository {
  readonly #client: Client;
  readonly #rows: Rows;

  constructor(client: Client, rows: Rows) {
    this.#client = client;
    this.#rows = rows;
  }

  async create(
    id: string,
    spec: RunSpec,
    { project, pauseAt, evaluates, resumesInit = false }: NewJob,
  ): Promise<JobRow> {
    return await this.#client.job.create({
      data: {
        id,
        project,
        name: spec.name,
        state: 'queued',
        labels: spec.labels,
        priority: spec.resources.priority,
        pool: spec.resources.pool,
        spec: json(spec),
        resumesInit,
        ...(pauseAt === undefined ? {} : { pauseAt }),
        ...(evaluates === undefined ? {} : { evaluates }),
      },
    });
  }

  async find(id: string): Promise<JobRow | null> {
    return (await this.#rows<JobRow>(jobById(id)))[0] ?? null;
  }

  /** Those of some jobs that belong to a project. */
  async idsWithin(project: string, ids: readonly string[]): Promise<string[]> {
    const rows = await this.#client.job.findMany({ where: { project, id: { in: [...ids] } }, select: { id: true } });
    return rows.map(({ id }) => id);
  }

  /** Locks the row until the transaction ends. Every change of a job, its attempts, ranks and events happens under this lock. */
  async lock(id: string): Promise<JobRow | null> {
    const locked = await this.#client.$queryRaw<unknown[]>`SELECT 1 FROM job WHERE id = ${id} FOR NO KEY UPDATE`;
    return locked.length === 0 ? null : await this.find(id);
  }

  async update(id: string, changes: JobChanges): Promise<JobRow> {
    const { latest, alarms, error, reason, pauseAt, labels, ...rest } = changes;
    return await this.#client.job.update({
      where: { id },
      data: {
        ...rest,
        ...(latest === undefined ? {} : { latest }),
        ...(labels === undefined ? {} : { labels }),
        ...(alarms === undefined ? {} : { alarms: json(alarms) }),
        ...(pauseAt === undefined ? {} : { pauseAt: pauseAt ?? Prisma.DbNull }),
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
   * Jobs that may start now and whose smallest world fits the free slots of their pool that have their engine, in the
   * order in which they should. Those that do not fit are left out here, so that many of them never hide one that does
   * behind `limit`. So are evaluations whose run is to start again in these slots.
   */
  async startable(free: readonly FreeCount[], limit: number): Promise<StartableJob[]> {
    const pools = free.map(({ pool }) => pool);
    const engines = free.map(({ engine }) => engine ?? ANY_ENGINE);
    const slots = free.map((count) => count.slots);
    return await this.#client.$queryRaw<StartableJob[]>`
      SELECT id, ${NEEDS}
      FROM job JOIN unnest(${pools}::text[], ${engines}::text[], ${slots}::int[]) AS open(pool, engine, slots)
        ON open.pool = job.pool AND open.engine = spec #>> '{resources,engine}'
      WHERE ${DUE} AND (spec #>> '{resources,world,min}')::int <= open.slots AND NOT EXISTS (
        SELECT 1 FROM job AS run WHERE run.id = job.evaluates AND run.state IN ('queued', 'recovering')
          AND (run.spec #>> '{resources,world,min}')::int <= open.slots)
      ORDER BY priority DESC, created_at, id LIMIT ${limit}`;
  }

  /** Lets it start at any time. */
  async undelay(id: string): Promise<void> {
    await this.#client.job.update({ where: { id }, data: { notBefore: null } });
  }

  /** How many jobs are in each state that any is in. */
  async countByState(): Promise<{ state: string; jobs: number }[]> {
    const rows = await this.#client.job.groupBy({ by: ['state'], _count: { _all: true } });
    return rows.map(({ state, _count }) => ({ state, jobs: _count._all }));
  }

  /** Specs of the jobs that are not settled, and of trials that have none yet, whose `model.init` or `loss.distill.from` begins with `prefix`. */
  async unsettledReferringTo(prefix: string): Promise<RunSpec[]> {
    const rows = await this.#client.$queryRaw<{ spec: RunSpec }[]>`
      SELECT spec FROM (
        SELECT spec FROM job WHERE NOT settled
        UNION ALL SELECT spec FROM trial WHERE state = 'waiting'
      ) AS unsettled
      WHERE starts_with(spec #>> '{model,init}', ${prefix}) OR starts_with(spec #>> '{loss,distill,from}', ${prefix})`;
    return rows.map(({ spec }) => spec);
  }

  /** A job that is not settled, or the sweep of a waiting trial, that refers to a checkpoint of a job; not its evaluations. */
  async firstNeeding(jobId: string): Promise<string | undefined> {
    const prefix = `job:${jobId}@`;
    const rows = await this.#client.$queryRaw<{ id: string }[]>`
      SELECT id FROM (
        SELECT id, spec FROM job WHERE NOT settled AND evaluates IS DISTINCT FROM ${jobId}
        UNION ALL SELECT sweep_id, spec FROM trial WHERE state = 'waiting'
      ) AS unsettled
      WHERE starts_with(spec #>> '{model,init}', ${prefix}) OR starts_with(spec #>> '{loss,distill,from}', ${prefix})
      LIMIT 1`;
    return rows[0]?.id;
  }

  /** All evaluations that a run has queued. */
  async evaluationsOf(runId: string): Promise<JobRow[]> {
    return await this.#client.job.findMany({ where: { evaluates: runId }, orderBy: { id: 'asc' } });
  }

  /** Jobs that have ended, their ranks too, and are to be settled. */
  async toSettle(limit: number): Promise<string[]> {
    const rows = await this.#client.$queryRaw<{ id: string }[]>`
      SELECT id FROM job WHERE NOT settled AND state = ANY (${[...JOB_FINAL_STATES]}) AND NOT EXISTS (
        SELECT 1 FROM attempt WHERE job_id = job.id AND attempt.epoch = job.epoch
          AND attempt.state IN ('starting', 'running', 'stopping'))
      ORDER BY finished_at, id LIMIT ${limit}`;
    return rows.map(({ id }) => id);
  }

  /** The evaluations that a run has queued and whose results it has not got. */
  async unsettledEvaluations(runId: string): Promise<JobRow[]> {
    return await this.#client.job.findMany({ where: { evaluates: runId, settled: false }, orderBy: { id: 'asc' } });
  }

  /** What the jobs that may start now ask for, each demand once. */
  async demands(): Promise<JobNeeds[]> {
    return await this.#client.$queryRaw<JobNeeds[]>`SELECT DISTINCT ${NEEDS} FROM job WHERE ${DUE}`;
  }

  /** Jobs that may start now, ask for `needs`, and have a reason that does not end with `why`. */
  async unexplained(needs: JobNeeds, why: string, limit: number): Promise<string[]> {
    const rows = await this.#client.$queryRaw<{ id: string }[]>`
      SELECT id FROM job
      WHERE ${DUE} AND pool = ${needs.pool} AND (spec #>> '{resources,world,min}')::int = ${needs.minWorld}
        AND spec #>> '{resources,engine}' = ${needs.engine ?? ANY_ENGINE}
        AND right(coalesce(reason, ''), length(${why}::text)) <> ${why}
      ORDER BY created_at, id LIMIT ${limit}`;
    return rows.map(({ id }) => id);
  }

  /** Milliseconds until the next job that waits for its time may start; undefined: none waits. */
  async msToNextDue(): Promise<number | undefined> {
    const rows = await this.#client.$queryRaw<{ ms: number | null }[]>`
      SELECT (extract(epoch FROM min(not_before) - clock_timestamp()) * 1000)::float8 AS ms FROM job
      WHERE state IN ('queued', 'recovering') AND not_before > clock_timestamp()`;
    return rows[0]?.ms ?? undefined;
  }

  /**
   * The jobs that wait for slots, each pool in the order in which the scheduler looks at them. `createdAt` has the
   * precision of the cursor.
   */
  async waiting(query: { project?: string; pool?: string; after?: QueueCursor; limit: number }): Promise<WaitingJob[]> {
    const { project, pool, after, limit } = query;
    const inPool = pool === undefined ? Prisma.empty : Prisma.sql`AND job.pool = ${pool}`;
    const inProject = project === undefined ? Prisma.empty : Prisma.sql`AND job.project = ${project}`;
    const behind =
      after === undefined
        ? Prisma.empty
        : Prisma.sql`WHERE (-priority, created_at, id) > (${-after.priority}::int, ${after.createdAt}, ${after.id})`;
    // What is told of each is read for the page only: specs are large.
    return await this.#rows<WaitingJob>(Prisma.sql`
      SELECT id, place.position, name, state, priority, labels, ${NEEDS},
        (spec #>> '{resources,world,max}')::int AS "maxWorld", created_at AS "createdAt", not_before AS "notBefore",
        coalesce(not_before > clock_timestamp(), false) AS delayed, evaluates IS NOT NULL AND EXISTS (
          SELECT 1 FROM job AS run WHERE run.id = job.evaluates AND run.state IN ('queued', 'recovering')) AS "afterRun"
      FROM job JOIN (
        SELECT * FROM (
          SELECT id AS job_id, id, priority, created_at,
            row_number() OVER (PARTITION BY pool ORDER BY priority DESC, created_at, id)::int AS position
          FROM job WHERE state IN ('queued', 'recovering') ${inPool} ${inProject}
        ) AS waiting ${behind} ORDER BY priority DESC, created_at, id LIMIT ${limit}
      ) AS place(job_id, place_id, place_priority, place_created_at, position) ON place.job_id = id
      ORDER BY priority DESC, created_at, id`);
  }

  async remove(id: string): Promise<void> {
    await this.#client.job.delete({ where: { id } });
  }

  async list(query: JobListQuery): Promise<JobRow[]> {
    return await this.#rows<JobRow>(jobList(query));
  }
}
