import type { Client } from '@clipyard/client';
import { isFinalJobState, type LogLevel, type LogLine } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';

const PAGE = 500;
const POLL_MS = 1000;

export interface LogOptions extends ServerOptions {
  readonly follow?: boolean;
  readonly level?: LogLevel;
  readonly rank?: number;
  readonly grep?: string;
}

/** Prints the log of a job, oldest first; with `follow` until the job has ended. */
export async function logs(context: Context, jobId: string, options: LogOptions): Promise<number> {
  const client = await clientOf(context, options);
  for await (const line of logLines(client, jobId, options, context.signal)) {
    context.terminal.out(options.json === true ? JSON.stringify(line) : lineText(line));
  }
  return EXIT.ok;
}

async function* logLines(
  client: Client,
  jobId: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const { level, rank, grep: text } = options;
  const query = {
    limit: PAGE,
    ...(level !== undefined && { level }),
    ...(rank !== undefined && { rank }),
    ...(text !== undefined && { text }),
  };
  let cursor: string | undefined;
  // Of the last page, which is read again until it is full.
  let seen = new Set<string>();
  for (;;) {
    const ended = options.follow !== true || isFinalJobState((await client.get(jobId, { signal })).state);
    for (;;) {
      const page = await client.logs(jobId, { ...query, ...(cursor === undefined ? {} : { cursor }) }, { signal });
      for (const line of page.items) {
        if (!seen.has(line.id)) yield line;
        seen.add(line.id);
      }
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
      seen = new Set();
    }
    if (ended) return;
    await sleep(POLL_MS, { signal });
  }
}

function lineText({ at, level, epoch, rank, message, fields }: LogLine): string {
  const who = rank === null ? `${epoch}` : `${epoch}.${rank}`;
  const more = fields === null || Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(fields)}`;
  return `${at} ${level.padEnd(5)} ${who} ${message}${more}`;
}
