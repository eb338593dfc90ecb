import {
  isTagged,
  OPERATIONS,
  type Operation,
  type OperationId,
  type PathParameters,
  type QueryOf,
} from '@clipyard/contracts';
import type { Behalf, ControlPlane } from '@clipyard/control';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify';
import { z } from 'zod';
import type { Admission } from './admission.js';
import type { RateLimits } from './rate-limits.js';
import { parseQuery } from './request-input.js';

declare module 'fastify' {
  interface FastifyInstance {
    readonly admission: Admission;
    readonly limits: RateLimits;
    /** Of whoever is on this machine. */
    readonly control: ControlPlane;
  }
  interface FastifyRequest {
    behalf: Behalf | null;
  }
}

export interface Call<O extends Operation> {
  /** On behalf of the caller: what it does not show, the caller does not see. */
  readonly control: ControlPlane;
  readonly params: PathParameters<O['path']>;
  readonly query: QueryOf<O>;
  /** As parsed from JSON, not yet checked. */
  readonly body: unknown;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

const noQuery = z.object({});

const IDS = new Map<Operation, OperationId>(
  Object.entries(OPERATIONS).map(([id, operation]) => [operation, id as OperationId]),
);

/**
 * Serves an operation of the contracts: its method and path, for callers that have its scope, its query checked by its
 * schema, and every change on record.
 */
export function serve<const O extends Operation>(
  server: FastifyInstance,
  operation: O,
  handle: (call: Call<O>) => Promise<unknown>,
  options: RouteShorthandOptions = {},
): void {
  server.route({
    ...options,
    config: { tagged: isTagged(operation), ...options.config },
    method: operation.method,
    url: operation.path,
    onRequest: async (request, reply) => {
      request.behalf = await server.limits.guard(request, reply, () => server.admission.admit(request, operation));
      await server.limits.count(request, reply);
    },
    handler: async (request, reply) => {
      const behalf = request.behalf!;
      const control = server.control.as(behalf);
      const answer = await handle({
        control,
        params: request.params as Call<O>['params'],
        query: parseQuery(operation.query ?? noQuery, request) as Call<O>['query'],
        body: request.body,
        request,
        reply,
      });
      const changes = operation.method !== 'GET' && operation.scope !== 'none';
      if (changes && !behalf.settled) {
        const { id = null } = request.params as { id?: string };
        await control.access.recordChange(IDS.get(operation)!, id);
      }
      return answer;
    },
  });
}

/** A list that comes in one page. */
export function whole<T>(items: readonly T[]): { items: readonly T[]; nextCursor: null } {
  return { items, nextCursor: null };
}
