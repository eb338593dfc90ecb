import type { JobSort, JobState } from '@clipyard/contracts';
import { type Job as JobRow, Prisma } from '../generated/client.js';

/** A list of jobs in one of several orders, of which pages follow each other by what the last one ended with. */

/** Where a list goes on: after the job of this id, which has this value of what is sorted by. */
export interface JobCursor {
  readonly value: string;
  readonly id: string;
}

export interface JobListQuery {
  readonly project?: string;
  readonly states?: readonly JobState[];
  /** Each `key` or `key=value`. */
  readonly labels?: readonly string[];
  /** In id, name, labels or reason, whatever the case. */
  readonly text?: string;
  readonly createdAfter?: Date;
  readonly createdBefore?: Date;
  /** Default: newest first. */
  readonly sort?: JobSort;
  readonly after?: JobCursor;
  readonly limit: number;
}

const SORTED_BY = {
  createdAt: { expression: Prisma.sql`created_at`, type: Prisma.sql`timestamptz` },
  // Those that have not ended end last.
  finishedAt: { expression: Prisma.sql`coalesce(finished_at, 'infinity')`, type: Prisma.sql`timestamptz` },
  name: { expression: Prisma.sql`name`, type: Prisma.sql`text` },
  priority: { expression: Prisma.sql`priority`, type: Prisma.sql`int` },
} as const;

/** A row as Prisma has it. */
const COLUMNS = Prisma.raw(
  Object.entries({
    id: 'id',
    project: 'project',
    name: 'name',
    state: 'state',
    reason: 'reason',
    labels: 'labels',
    priority: 'priority',
    pool: 'pool',
    spec: 'spec',
    epoch: 'epoch',
    worldSize: 'world_size',
    step: 'step',
    totalSteps: 'total_steps',
    pauseAt: 'pause_at',
    pauseStep: 'pause_step',
    latest: 'latest',
    restartsInfrastructure: 'restarts_infrastructure',
    restartsUser: 'restarts_user',
    failuresInARow: 'failures_in_a_row',
    failedAtCheckpoint: 'failed_at_checkpoint',
    notBefore: 'not_before',
    error: 'error',
    alarms: 'alarms',
    evaluates: 'evaluates',
    resumesInit: 'resumes_init',
    settled: 'settled',
    createdAt: 'created_at',
    startedAt: 'started_at',
    finishedAt: 'finished_at',
  } satisfies Record<keyof JobRow, string>)
    .map(([field, column]) => `${column} AS "${field}"`)
    .join(', '),
);

export const jobById = (id: string): Prisma.Sql => Prisma.sql`SELECT ${COLUMNS} FROM job WHERE id = ${id}`;

/** Rows are whole only for what is listed, since specs are large. */
export function jobList(query: JobListQuery): Prisma.Sql {
  const { sort = '-createdAt', after, limit } = query;
  const descends = sort.startsWith('-');
  const { expression, type } = SORTED_BY[sort.replace('-', '') as keyof typeof SORTED_BY];
  const conditions = filters(query);
  if (after !== undefined) {
    const beyond = Prisma.raw(descends ? '<' : '>');
    conditions.push(Prisma.sql`(${expression}, id) ${beyond} (${after.value}::text::${type}, ${after.id})`);
  }
  const where = conditions.length === 0 ? Prisma.empty : Prisma.sql`WHERE ${Prisma.join(conditions, ' AND ')}`;
  const direction = Prisma.raw(descends ? 'DESC' : 'ASC');
  const order = Prisma.sql`ORDER BY ${expression} ${direction}, id ${direction}`;
  return Prisma.sql`
    SELECT ${COLUMNS} FROM job WHERE id IN (SELECT id FROM job ${where} ${order} LIMIT ${limit}) ${order}`;
}

function filters({ project, states, labels = [], text, createdAfter, createdBefore }: JobListQuery): Prisma.Sql[] {
  const conditions = labels.map((label) => {
    const [key, value] = splitLabel(label);
    return value === undefined
      ? Prisma.sql`labels ? ${key}::text`
      : Prisma.sql`labels @> ${JSON.stringify({ [key]: value })}::jsonb`;
  });
  if (project !== undefined) conditions.push(Prisma.sql`project = ${project}`);
  if (states !== undefined) conditions.push(Prisma.sql`state = ANY (${[...states]})`);
  if (createdAfter !== undefined) conditions.push(Prisma.sql`created_at >= ${createdAfter}`);
  if (createdBefore !== undefined) conditions.push(Prisma.sql`created_at < ${createdBefore}`);
  if (text !== undefined) {
    const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`;
    conditions.push(
      Prisma.sql`(name ILIKE ${pattern} OR id ILIKE ${pattern} OR reason ILIKE ${pattern} OR labels::text ILIKE ${pattern})`,
    );
  }
  return conditions;
}

function splitLabel(label: string): [string, string?] {
  const at = label.indexOf('=');
  return at < 0 ? [label] : [label.slice(0, at), label.slice(at + 1)];
}
