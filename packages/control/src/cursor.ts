import { fieldError, type JobSort } from '@clipyard/contracts';
import type { JobCursor, JobRow, QueueCursor, TimeCursor } from '@clipyard/db';

/** Cursors of lists: opaque to clients, who only give them back. */

/** What comes after this in a list with the newest first. */
export function encodeTimeCursor({ createdAt, id }: TimeCursor): string {
  return Buffer.from(`${createdAt.getTime()} ${id}`).toString('base64url');
}

/** Throws `request_invalid`. */
export function decodeTimeCursor(cursor: string): TimeCursor {
  const match = /^(\d{1,15}) ([a-z0-9-]+)$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (match === null) throw invalidCursor('cursor', cursor);
  return { createdAt: new Date(Number(match[1])), id: match[2]! };
}

/** What comes after this job in a list with this order. */
export function encodeJobCursor(job: JobRow, sort: JobSort): string {
  return Buffer.from(`${sort} ${sortedValue(job, sort)} ${job.id}`).toString('base64url');
}

function sortedValue(job: JobRow, sort: JobSort): string {
  switch (sort) {
    case 'createdAt':
    case '-createdAt':
      return job.createdAt.toISOString();
    case 'finishedAt':
    case '-finishedAt':
      return job.finishedAt?.toISOString() ?? NEVER;
    case 'priority':
    case '-priority':
      return String(job.priority);
    case 'name':
    case '-name':
      return job.name;
  }
}

/** As PostgreSQL writes the time of what has not happened. */
const NEVER = 'infinity';

/** Throws `request_invalid`, also for the cursor of a list in another order. */
export function decodeJobCursor(cursor: string, sort: JobSort): JobCursor {
  const [, of, value = '', id = ''] =
    /^(\S+) ([\w.:-]{1,100}) ([a-z0-9-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (of !== sort || !isSortedValue(value, sort)) throw invalidCursor('cursor', cursor);
  return { value, id };
}

function isSortedValue(value: string, sort: JobSort): boolean {
  switch (sort) {
    case 'createdAt':
    case '-createdAt':
      return isTime(value);
    case 'finishedAt':
    case '-finishedAt':
      return value === NEVER || isTime(value);
    case 'priority':
    case '-priority':
      return /^\d{1,3}$/.test(value);
    case 'name':
    case '-name':
      return true;
  }
}

const isTime = (text: string): boolean => /^\d{4}-/.test(text) && !Number.isNaN(Date.parse(text));

export function encodeQueueCursor({ priority, createdAt, id }: QueueCursor): string {
  return Buffer.from(`${priority} ${createdAt.getTime()} ${id}`).toString('base64url');
}

/** Throws `request_invalid`. */
export function decodeQueueCursor(cursor: string): QueueCursor {
  const match = /^(\d{1,3}) (\d{1,15}) ([a-z0-9-]+)$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (match === null) throw invalidCursor('cursor', cursor);
  return { priority: Number(match[1]), createdAt: new Date(Number(match[2])), id: match[3]! };
}

/** The id of a row, as cursors of logs and `Last-Event-ID` carry it. Throws `request_invalid`. */
export function decodeRowId(path: string, cursor: string): bigint {
  if (!/^\d{1,18}$/.test(cursor)) throw invalidCursor(path, cursor);
  return BigInt(cursor);
}

function invalidCursor(path: string, value: string): Error {
  return fieldError('request_invalid', {
    path,
    message: 'is not a position in this list',
    value,
    remedy: 'Give back what the server sent, or leave it out to begin at the start.',
  });
}
