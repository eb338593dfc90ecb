import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Scripts, styles and requests of this server only; pictures of samples come as data, too. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The name of such a file holds the hash of what is in it. */
const IMMUTABLE = 'public, max-age=31536000, immutable';
const PAGE = 'index.html';

const headersOf = (path: string): Record<string, string> => ({
  'content-security-policy': PAGE_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cache-control': path.startsWith('/assets/') ? IMMUTABLE : 'no-cache',
});

/** What is no page of the dashboard, whatever a browser asks for. */
const NO_PAGE = /^\/(v1|docs|assets|metrics|healthz|readyz)(\/|$)|\.\w+$/;

/**
 * Serves the built dashboard. Returns what answers a browser that asks for one of its pages, all of which are one file;
 * undefined where it is not built.
 */
export function serveDashboard(
  server: FastifyInstance,
  root: string,
): ((request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> | undefined) | undefined {
  if (!existsSync(join(root, PAGE))) return undefined;
  server.register(async (scope) => {
    scope.addHook('onSend', async (request, reply) => {
      reply.headers(headersOf(request.url));
    });
    const common = { preCompressed: true, cacheControl: false, decorateReply: false, logLevel: 'warn' } as const;
    await scope.register(fastifyStatic, {
      ...common,
      root,
      wildcard: false,
      globIgnore: ['**/*.br', '**/*.gz', 'assets/**'],
    });
    // Whatever lies there when it is asked for, so that a build beside a running server can be used.
    await scope.register(fastifyStatic, { ...common, root: join(root, 'assets'), prefix: '/assets/' });
  });
  return (request, reply) => {
    const path = request.url.split('?', 1)[0]!;
    if (request.method !== 'GET' || !request.headers.accept?.includes('text/html') || NO_PAGE.test(path))
      return undefined;
    return sendPage(reply, path);
  };

  async function sendPage(reply: FastifyReply, path: string): Promise<FastifyReply> {
    const page = await readFile(join(root, PAGE));
    return reply.headers(headersOf(path)).type('text/html; charset=utf-8').send(page);
  }
}
