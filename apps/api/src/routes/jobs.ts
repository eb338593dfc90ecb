import {
  jobListQuerySchema,
  logsQuerySchema,
  metricsQuerySchema,
  parseRunSpec,
  type RunSpec,
} from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { idempotencyKey, parseQuery } from '../request-input.js';

export interface JobRouteDeps {
  readonly control: ControlPlane;
  /** Throws `preset_unknown` or `model_config_invalid`. */
  readonly checkModel: (model: RunSpec['model']) => void;
}

type ById = { Params: { id: string } };
const noQuery = z.object({});

/** Jobs and what belongs to one: attempts, metrics, logs, checkpoints. Lists are `{items, nextCursor}` throughout. */
export function jobRoutes(server: FastifyInstance, { control, checkModel }: JobRouteDeps): void {
  server.post('/v1/jobs', async (request, reply) => {
    parseQuery(noQuery, request);
    const key = idempotencyKey(request);
    const spec = parseRunSpec(request.body);
    // An evaluation may take the config that lies beside its weights.
    if (spec.model.preset !== undefined || spec.model.config !== undefined) checkModel(spec.model);
    const { job, created } = await control.submitJob(spec, key === undefined ? {} : { idempotencyKey: key });
    // A repeat is answered like the first time, so that a client whose answer was lost sees no difference.
    if (!created) reply.header('idempotency-replayed', 'true');
    return reply.code(201).header('location', `/v1/jobs/${job.id}`).send(job);
  });

  server.get('/v1/jobs', async (request) => control.listJobs(parseQuery(jobListQuerySchema, request)));

  server.get<ById>('/v1/jobs/:id', async (request) => {
    parseQuery(noQuery, request);
    return control.getJob(request.params.id);
  });

  server.post<ById>('/v1/jobs/:id/cancel', async (request) => {
    parseQuery(noQuery, request);
    return control.cancelJob(request.params.id);
  });

  server.post<ById>('/v1/jobs/:id/pause', async (request) => {
    parseQuery(noQuery, request);
    return control.pauseJob(request.params.id);
  });

  server.post<ById>('/v1/jobs/:id/resume', async (request) => {
    parseQuery(noQuery, request);
    return control.resumeJob(request.params.id);
  });

  server.get<ById>('/v1/jobs/:id/attempts', async (request) => {
    parseQuery(noQuery, request);
    return whole(await control.listAttempts(request.params.id));
  });

  server.get<ById>('/v1/jobs/:id/metrics', async (request) =>
    whole(await control.listMetrics(request.params.id, parseQuery(metricsQuerySchema, request))),
  );

  server.get<ById>('/v1/jobs/:id/logs', async (request) =>
    control.listLogs(request.params.id, parseQuery(logsQuerySchema, request)),
  );

  server.get<ById>('/v1/jobs/:id/evaluations', async (request) => {
    parseQuery(noQuery, request);
    return whole(await control.listEvaluations(request.params.id));
  });

  server.get<ById>('/v1/jobs/:id/checkpoints', async (request) => {
    parseQuery(noQuery, request);
    return whole(await control.listCheckpoints(request.params.id));
  });
}

/** A list that comes in one page. */
export function whole<T>(items: readonly T[]): { items: readonly T[]; nextCursor: null } {
  return { items, nextCursor: null };
}
