import type { Operation, PathParameters, QueryOf } from '@clipyard/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify';
import { z } from 'zod';
import { parseQuery } from './request-input.js';

export interface Call<O extends Operation> {
  readonly params: PathParameters<O['path']>;
  readonly query: QueryOf<O>;
  /** As parsed from JSON, not yet checked. */
  readonly body: unknown;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

const noQuery = z.object({});

/** Serves an operation of the contracts: its method and path, its query checked by its schema. */
export function serve<const O extends Operation>(
  server: FastifyInstance,
  operation: O,
  handle: (call: Call<O>) => Promise<unknown>,
  options: RouteShorthandOptions = {},
): void {
  server.route({
    ...options,
    method: operation.method,
    url: operation.path,
    handler: async (request, reply) =>
      handle({
        params: request.params as Call<O>['params'],
        query: parseQuery(operation.query ?? noQuery, request) as Call<O>['query'],
        body: request.body,
        request,
        reply,
      }),
  });
}

/** A list that comes in one page. */
export function whole<T>(items: readonly T[]): { items: readonly T[]; nextCursor: null } {
  return { items, nextCursor: null };
}
