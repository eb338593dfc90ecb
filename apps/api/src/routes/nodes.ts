import { OPERATIONS } from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { serve, whole } from '../serve.js';

export function nodeRoutes(server: FastifyInstance, { control }: { control: ControlPlane }): void {
  serve(server, OPERATIONS.listNodes, async () => whole(await control.listNodes()));
  serve(server, OPERATIONS.getNode, ({ params }) => control.getNode(params.id));
  serve(server, OPERATIONS.drainNode, ({ params, query }) =>
    control.drainNode(params.id, { evict: query.evict === 'true' }),
  );
  serve(server, OPERATIONS.undrainNode, ({ params }) => control.undrainNode(params.id));
}
