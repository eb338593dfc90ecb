import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its answers get an `ETag`. */
    readonly tagged?: boolean;
  }
}

/**
 * Gives the answers of routes that are `tagged` an `ETag` and answers 304 to whoever has them. A handler may set a tag of
 * its own before: it then names what may be edited, and the tag of the whole follows it after a dot.
 */
export function installEntityTags(server: FastifyInstance): void {
  server.addHook('onSend', async (request, reply, payload) => {
    if (request.routeOptions.config.tagged !== true || reply.statusCode !== 200 || typeof payload !== 'string')
      return payload;
    const revision = reply.getHeader('etag');
    const tag = `"${typeof revision === 'string' ? `${revision.slice(1, -1)}.` : ''}${digest(payload, 20)}"`;
    reply.header('etag', tag).header('cache-control', 'private, no-cache');
    const known = request.headers['if-none-match'];
    if ((request.method !== 'GET' && request.method !== 'HEAD') || known === undefined || !names(known, tag))
      return payload;
    reply.code(304).removeHeader('content-type').removeHeader('content-length');
    // What answers HEAD wants a text to measure.
    return request.method === 'HEAD' ? '' : null;
  });
}

/** The start of a hash, in the characters of base64url. */
export function digest(text: string, length: number): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, length);
}

/** Whether a list of tags, or `*`, has this one, weak or not. */
function names(list: string, tag: string): boolean {
  return list.trim() === '*' || tagsOf(list).includes(tag);
}

const tagsOf = (list: string): string[] => list.split(',').map((tag) => tag.trim().replace(/^W\//, ''));

/** Whether `If-Match` of a request, if it has one, has a tag of this revision. */
export function matchesRevision(request: FastifyRequest, revision: string): boolean {
  const wanted = request.headers['if-match'];
  return (
    wanted === undefined ||
    wanted.trim() === '*' ||
    tagsOf(wanted).some((tag) => tag.slice(1, -1).split('.')[0] === revision)
  );
}
