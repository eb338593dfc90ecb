import { fieldError } from '@clipyard/contracts';
import type { JobCursor, QueueCursor } from '@clipyard/db';

/** Cursors of lists: opaque to clients, who only give them back. */

export function encodeJobCursor({ createdAt, id }: JobCursor): string {
  return Buffer.from(`${createdAt.getTime()} ${id}`).toString('base64url');
}

/** Throws `request_invalid`. */
export function decodeJobCursor(cursor: string): JobCursor {
  const match = /^(\d{1,15}) ([a-z0-9-]+)$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (match === null) throw invalidCursor('cursor', cursor);
  return { createdAt: new Date(Number(match[1])), id: match[2]! };
}

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
