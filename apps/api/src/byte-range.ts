import { fieldError } from '@clipyard/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import parseRange from 'range-parser';

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * What of a file a request asks for: the range that it names, unless `If-Range` names another file, else all; several
 * ranges at once are answered with all. Sets status and headers. Throws `range_not_satisfiable`.
 */
export function requestedBytes(
  request: FastifyRequest,
  reply: FastifyReply,
  { bytes, tag }: { readonly bytes: number; readonly tag: string },
): ByteRange {
  const all: ByteRange = { start: 0, end: bytes };
  reply.header('accept-ranges', 'bytes').header('content-length', bytes);
  const { range, 'if-range': ifRange } = request.headers;
  if (range === undefined || (ifRange !== undefined && ifRange !== tag)) return all;
  const ranges = parseRange(bytes, range, { combine: true });
  if (ranges === -1) {
    reply.header('content-range', `bytes */${bytes}`).removeHeader('content-length');
    throw fieldError('range_not_satisfiable', {
      path: 'Range',
      message: `is not within the ${bytes} bytes of the file`,
      value: range,
      remedy: 'Ask for bytes that it has, or for all of it.',
    });
  }
  if (ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return all;
  const [{ start, end: last }] = ranges as unknown as [{ start: number; end: number }];
  reply
    .code(206)
    .header('content-range', `bytes ${start}-${last}/${bytes}`)
    .header('content-length', last + 1 - start);
  return { start, end: last + 1 };
}
