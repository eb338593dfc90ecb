import type { LogLevel } from '@clipyard/contracts';
import type { LogLine as LogRow } from '../generated/client.js';
import { type Client, json, storableText } from './client.js';

export type { LogRow };

export interface LogData {
  readonly at: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
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

  /** Oldest first, after the line of id `after`. */
  async list(
    jobId: string,
    query: { levels?: readonly LogLevel[]; rank?: number; after?: bigint; limit: number },
  ): Promise<LogRow[]> {
    return await this.#client.logLine.findMany({
      where: {
        jobId,
        ...(query.levels === undefined ? {} : { level: { in: [...query.levels] } }),
        ...(query.rank === undefined ? {} : { rank: query.rank }),
        ...(query.after === undefined ? {} : { id: { gt: query.after } }),
      },
      orderBy: { id: 'asc' },
      take: query.limit,
    });
  }
}
