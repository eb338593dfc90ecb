import {
  fieldError,
  forkSchema,
  type Job,
  jobPatchSchema,
  OPERATIONS,
  parseRunSpec,
  type RunSpec,
} from '@clipyard/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { digest, matchesRevision } from '../conditional.js';
import { idempotencyKey, parseBody } from '../request-input.js';
import { serve, whole } from '../serve.js';

export interface JobRouteDeps {
  /** Throws `preset_unknown` or `model_config_invalid`. */
  readonly checkModel: (model: RunSpec['model']) => void;
}

/** Jobs and what belongs to one: attempts, metrics, logs, checkpoints. Lists are `{items, nextCursor}` throughout. */
export function jobRoutes(server: FastifyInstance, { checkModel }: JobRouteDeps): void {
  serve(server, OPERATIONS.submitJob, async ({ body, control, query, request, reply }) => {
    const key = idempotencyKey(request);
    const spec = parseRunSpec(body);
    // An evaluation may take the config that lies beside its weights.
    if (spec.model.preset !== undefined || spec.model.config !== undefined) checkModel(spec.model);
    const asked = { ...query, ...(key === undefined ? {} : { idempotencyKey: key }) };
    return made(reply, await control.submitJob(spec, asked));
  });
  serve(server, OPERATIONS.listJobs, ({ control, query }) => control.listJobs(query));
  serve(server, OPERATIONS.getJob, async ({ control, params, reply }) =>
    withRevision(reply, await control.getJob(params.id)),
  );
  serve(server, OPERATIONS.editJob, async ({ control, params, body, request, reply }) => {
    const edited = await control.editJob(params.id, parseBody(jobPatchSchema, body), (job) =>
      refuseChanged(request, job),
    );
    return withRevision(reply, edited);
  });
  serve(server, OPERATIONS.deleteJob, async ({ control, params, reply }) => {
    await control.deleteJob(params.id);
    return reply.code(204).send();
  });
  serve(server, OPERATIONS.cancelJob, ({ control, params }) => control.cancelJob(params.id));
  serve(server, OPERATIONS.pauseJob, ({ control, params }) => control.pauseJob(params.id));
  serve(server, OPERATIONS.resumeJob, ({ control, params }) => control.resumeJob(params.id));
  serve(server, OPERATIONS.retryJob, ({ control, params }) => control.retryJob(params.id));
  serve(server, OPERATIONS.forkJob, async ({ control, params, body, request, reply }) => {
    const key = idempotencyKey(request);
    const forked = await control.forkJob(params.id, parseBody(forkSchema, body ?? {}), {
      ...(key === undefined ? {} : { idempotencyKey: key }),
      check: ({ model }) => checkModel(model),
    });
    return made(reply, forked);
  });
  serve(server, OPERATIONS.listQueue, ({ control, query }) => control.listQueue(query));
  serve(server, OPERATIONS.listAttempts, async ({ control, params }) => whole(await control.listAttempts(params.id)));
  serve(server, OPERATIONS.listMetrics, async ({ control, params, query: { buckets, ...query } }) =>
    whole<object>(
      buckets === undefined
        ? await control.listMetrics(params.id, query)
        : await control.listMetricSeries(params.id, { ...query, buckets }),
    ),
  );
  serve(server, OPERATIONS.listMetricNames, async ({ control, params }) =>
    whole(await control.listMetricNames(params.id)),
  );
  serve(server, OPERATIONS.listLogs, ({ control, params, query }) => control.listLogs(params.id, query));
  serve(server, OPERATIONS.listEvaluations, async ({ control, params }) =>
    whole(await control.listEvaluations(params.id)),
  );
  serve(server, OPERATIONS.listCheckpoints, async ({ control, params }) =>
    whole(await control.listCheckpoints(params.id)),
  );
}

/** A repeat is answered like the first time, so that a client whose answer was lost sees no difference. */
function made(reply: FastifyReply, { job, created }: { job: Job; created: boolean }): FastifyReply {
  if (!created) reply.header('idempotency-replayed', 'true');
  return reply.code(201).header('location', `/v1/jobs/${job.id}`).send(job);
}

/** Names what may be edited of a job: it stays the same while the job trains. */
function revisionOf({ name, priority, labels }: Job): string {
  return digest(JSON.stringify([name, priority, Object.entries(labels).sort()]), 8);
}

function withRevision(reply: FastifyReply, job: Job): Job {
  reply.header('etag', `"${revisionOf(job)}"`);
  return job;
}

/** Throws `precondition_failed`. */
function refuseChanged(request: FastifyRequest, job: Job): void {
  if (matchesRevision(request, revisionOf(job))) return;
  throw fieldError('precondition_failed', {
    path: 'If-Match',
    message: 'is not the ETag of the job: its name, labels or priority were changed since',
    value: request.headers['if-match'],
    remedy: 'Read the job again, then change it.',
  });
}
