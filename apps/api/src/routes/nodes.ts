import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseQuery } from '../request-input.js';
import { whole } from './jobs.js';

export function nodeRoutes(server: FastifyInstance, { control }: { control: ControlPlane }): void {
  server.get('/v1/nodes', async (request) => {
    parseQuery(z.object({}), request);
    return whole(await control.listNodes());
  });
}
