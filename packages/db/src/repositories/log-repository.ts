import type { LogLevel } from '@clipyard/contracts';
import { type LogLine as LogRow, Prisma } from '../generated/client.js';
import { type Client, json, storableText } from './client.js';

export type { LogRow };

export interface LogData {
  readonly at: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

export interface LogQuery {
  readonly levels?: readonly LogLevel[];
  readonly rank?: number;
  /** Times, both included. */
  readonly from?: Date;
  readonly to?: Date;
  readonly text?: string;
  readonly after?: bigint;
  readonly order?: 'oldest' | 'newest';
  readonly limit: number;
}

export class LogRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async append(jobId: string, epoch: number, rank: number, entries: readonly LogData[]): Promise<void> {
    await this.#client.logLine.createMany({
      data: entries.map(({ at, level, message, fields }) => ({
        jobId,
        epoch,
        rank,
        at: new Date(at),
        level,
        message: storableText(message),
        ...(fields === undefined ? {} : { fields: json(fields) }),
      })),
    });
  }

  /** In the order of their ids, from the one after `after` on. */
  async list(jobId: string, query: LogQuery): Promise<LogRow[]> {
    const { levels, rank, from, to, after, order = 'oldest', limit, text } = query;
    const conditions = [
      Prisma.sql`job_id = ${jobId}`,
      ...(levels === undefined ? [] : [Prisma.sql`level = ANY(${levels}::text[])`]),
      ...(rank === undefined ? [] : [Prisma.sql`rank = ${rank}`]),
      ...(from === undefined ? [] : [Prisma.sql`at >= ${from}`]),
      ...(to === undefined ? [] : [Prisma.sql`at <= ${to}`]),
      ...(text === undefined ? [] : [await this.#holds(jobId, text)]),
    ];
    if (after !== undefined)
      conditions.push(order === 'oldest' ? Prisma.sql`id > ${after}` : Prisma.sql`id < ${after}`);
    return await this.#client.$queryRaw<LogRow[]>`
      SELECT id, job_id AS "jobId", epoch, rank, at, level, message, fields FROM log_line
      WHERE ${Prisma.join(conditions, ' AND ')}
      ORDER BY id ${order === 'oldest' ? Prisma.sql`ASC` : Prisma.sql`DESC`} LIMIT ${limit}`;
  }

  /** The words of a search if any line of the job has them, else the text as it is within a line. */
  async #holds(jobId: string, text: string): Promise<Prisma.Sql> {
    const words = Prisma.sql`to_tsvector('simple', message) @@ websearch_to_tsquery('simple', ${text})`;
    const found = await this.#client.$queryRaw<unknown[]>`
      SELECT 1 FROM log_line WHERE job_id = ${jobId} AND ${words} LIMIT 1`;
    return found.length > 0 ? words : Prisma.sql`message ILIKE ${`%${text.replace(/[\\%_]/g, '\\$&')}%`}`;
  }
}
