import { OPERATIONS } from '@clipyard/contracts';
import type { FastifyInstance } from 'fastify';
import { serve, whole } from '../serve.js';

export function nodeRoutes(server: FastifyInstance): void {
  serve(server, OPERATIONS.listNodes, async ({ control }) => whole(await control.listNodes()));
  serve(server, OPERATIONS.getNode, ({ control, params }) => control.getNode(params.id));
  serve(server, OPERATIONS.drainNode, ({ control, params, query }) =>
    control.drainNode(params.id, { evict: query.evict === 'true' }),
  );
  serve(server, OPERATIONS.undrainNode, ({ control, params }) => control.undrainNode(params.id));
}
