import { parseSweepSpec, type RunSpec, sweepListQuerySchema } from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { idempotencyKey, parseQuery } from '../request-input.js';
import { whole } from './jobs.js';

export interface SweepRouteDeps {
  readonly control: ControlPlane;
  /** Throws `preset_unknown` or `model_config_invalid`. */
  readonly checkModel: (model: RunSpec['model']) => void;
}

type ById = { Params: { id: string } };
const noQuery = z.object({});

/** Sweeps and their trials. */
export function sweepRoutes(server: FastifyInstance, { control: { sweeps }, checkModel }: SweepRouteDeps): void {
  server.post('/v1/sweeps', async (request, reply) => {
    parseQuery(noQuery, request);
    const key = idempotencyKey(request);
    const { sweep, created } = await sweeps.submit(parseSweepSpec(request.body), {
      ...(key === undefined ? {} : { idempotencyKey: key }),
      checkTrial: ({ model }) => checkModel(model),
    });
    if (!created) reply.header('idempotency-replayed', 'true');
    return reply.code(201).header('location', `/v1/sweeps/${sweep.id}`).send(sweep);
  });

  server.get('/v1/sweeps', async (request) => sweeps.list(parseQuery(sweepListQuerySchema, request)));

  server.get<ById>('/v1/sweeps/:id', async (request) => {
    parseQuery(noQuery, request);
    return sweeps.get(request.params.id);
  });

  server.get<ById>('/v1/sweeps/:id/trials', async (request) => {
    parseQuery(noQuery, request);
    return whole(await sweeps.trials(request.params.id));
  });

  server.post<ById>('/v1/sweeps/:id/pause', async (request) => {
    parseQuery(noQuery, request);
    return sweeps.pause(request.params.id);
  });

  server.post<ById>('/v1/sweeps/:id/resume', async (request) => {
    parseQuery(noQuery, request);
    return sweeps.resume(request.params.id);
  });

  server.post<ById>('/v1/sweeps/:id/cancel', async (request) => {
    parseQuery(noQuery, request);
    return sweeps.cancel(request.params.id);
  });
}
