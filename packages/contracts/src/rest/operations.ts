import type { z } from 'zod';
import {
  auditEventSchema,
  callerSchema,
  createdTokenSchema,
  newTokenSchema,
  type Scope,
  signInSchema,
  tokenSchema,
} from '../access.js';
import {
  attemptSchema,
  auditQuerySchema,
  checkpointSchema,
  evaluationSchema,
  eventsQuerySchema,
  healthSchema,
  jobListQuerySchema,
  jobSchema,
  logLineSchema,
  logsQuerySchema,
  metricItemSchema,
  metricNameSchema,
  metricsQuerySchema,
  nodeSchema,
  pageQuerySchema,
  queueQuerySchema,
  submitQuerySchema,
} from '../api.js';
import type { ErrorCode } from '../errors.js';
import {
  pictureMatchSchema,
  pictureSearchQuerySchema,
  similarityQuerySchema,
  similaritySchema,
} from '../inspection.js';
import { runSpecSchema } from '../run-spec/run-spec.js';
import { sweepListQuerySchema, sweepSchema, trialSchema } from '../sweep/sweep-api.js';
import { sweepSpecSchema } from '../sweep/sweep-spec.js';
import {
  createdWebhookSchema,
  deliveryListQuerySchema,
  deliverySchema,
  newWebhookSchema,
  webhookListQuerySchema,
  webhookPatchSchema,
  webhookSchema,
} from '../webhooks.js';
import { drainQuerySchema, forkSchema, jobPatchSchema, queueEntrySchema } from './job-actions.js';

/** One route of the REST API: the server, the reference and the OpenAPI document are made from these. */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With parameters as `:name`, each a string. */
  readonly path: string;
  readonly tag: 'Jobs' | 'Queue' | 'Checkpoints' | 'Sweeps' | 'Nodes' | 'Webhooks' | 'Access' | 'Service';
  /** What a token must allow; `none`: it needs none. */
  readonly scope: Scope | 'none';
  /** Only with a token of all projects: what it tells or changes is not one project's. */
  readonly allProjects?: true;
  /** What it does, in Markdown as the reference shows it. */
  readonly does: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Whether it takes an `Idempotency-Key`. */
  readonly idempotent?: true;
  readonly answer: Answer;
  /** Codes of its own, beside those that every route may answer with. */
  readonly errors: readonly ErrorCode[];
}

export type Answer =
  /** `or`: another status with the same body. */
  | { readonly type: 'one'; readonly status: 200 | 201; readonly schema: z.ZodType; readonly or?: 503 }
  /** A page: `{items, nextCursor}`. */
  | { readonly type: 'list'; readonly schema: z.ZodType }
  /** 204, without a body. */
  | { readonly type: 'nothing' }
  | { readonly type: 'file' }
  /** A PNG. */
  | { readonly type: 'picture' }
  | { readonly type: 'events' }
  | { readonly type: 'json' }
  | { readonly type: 'text' };

const one = <S extends z.ZodType>(schema: S) => ({ type: 'one', status: 200, schema }) as const;
const created = <S extends z.ZodType>(schema: S) => ({ type: 'one', status: 201, schema }) as const;
const list = <S extends z.ZodType>(schema: S) => ({ type: 'list', schema }) as const;

/** What a spec may be refused with, beside being no valid spec. */
const SPEC_ERRORS = [
  'spec_invalid',
  'spec_version_unsupported',
  'batch_not_divisible',
  'preset_unknown',
  'model_config_invalid',
  'idempotency_key_reused',
] as const;

/** What looking into a checkpoint may fail with: reading it, its data, or the process. */
const INSPECTION_ERRORS = [
  'not_found',
  'config_invalid',
  'storage_failed',
  'checkpoint_damaged',
  'checkpoint_incompatible',
  'data_not_found',
  'data_empty',
  'engine_out_of_memory',
  'engine_unavailable',
  'inspector_failed',
] as const;

/** By operation id. */
export const OPERATIONS = {
  submitJob: {
    method: 'POST',
    path: '/v1/jobs',
    tag: 'Jobs',
    scope: 'submit',
    does: 'submits a [run spec](run-spec.md); 201 with the job and its `Location`',
    query: submitQuerySchema,
    body: runSpecSchema,
    idempotent: true,
    answer: created(jobSchema),
    errors: [...SPEC_ERRORS, 'job_not_found', 'world_unsatisfiable'],
  },
  listJobs: {
    method: 'GET',
    path: '/v1/jobs',
    tag: 'Jobs',
    scope: 'read',
    does: 'lists jobs, newest first unless `sort` says otherwise',
    query: jobListQuerySchema,
    answer: list(jobSchema),
    errors: [],
  },
  getJob: {
    method: 'GET',
    path: '/v1/jobs/:id',
    tag: 'Jobs',
    scope: 'read',
    does: 'one job',
    answer: one(jobSchema),
    errors: ['job_not_found'],
  },
  editJob: {
    method: 'PATCH',
    path: '/v1/jobs/:id',
    tag: 'Jobs',
    scope: 'submit',
    does:
      'changes its `name`, `labels` (null removes one) or `priority`, by which it is queued; its spec stays as it was ' +
      'submitted; 409 for the priority of a job that has ended; with the `ETag` of the job as `If-Match`, 412 when one of the ' +
      'three was changed since',
    body: jobPatchSchema,
    answer: one(jobSchema),
    errors: ['job_not_found', 'job_state_conflict', 'precondition_failed'],
  },
  deleteJob: {
    method: 'DELETE',
    path: '/v1/jobs/:id',
    tag: 'Jobs',
    scope: 'submit',
    does:
      'removes a job that has ended, with its checkpoints and their files, metrics, logs, events and evaluations; 409 while ' +
      'it or its evaluations run, while its sweep does, or while a job that has not ended needs a checkpoint of it',
    answer: { type: 'nothing' },
    errors: ['job_not_found', 'job_state_conflict'],
  },
  cancelJob: {
    method: 'POST',
    path: '/v1/jobs/:id/cancel',
    tag: 'Jobs',
    scope: 'submit',
    does: 'cancels it; 409 `job_state_conflict` when it has ended',
    answer: one(jobSchema),
    errors: ['job_not_found', 'job_state_conflict'],
  },
  pauseJob: {
    method: 'POST',
    path: '/v1/jobs/:id/pause',
    tag: 'Jobs',
    scope: 'submit',
    does:
      'stops it with a checkpoint of the step at hand: `pausing`, then `paused` (at once when nothing runs); 409 when it ' +
      'pauses already or has ended',
    answer: one(jobSchema),
    errors: ['job_not_found', 'job_state_conflict'],
  },
  resumeJob: {
    method: 'POST',
    path: '/v1/jobs/:id/resume',
    tag: 'Jobs',
    scope: 'submit',
    does: 'queues a paused job; its next attempt goes on from the newest checkpoint, as if never stopped; 409 in other states',
    answer: one(jobSchema),
    errors: ['job_not_found', 'job_state_conflict'],
  },
  retryJob: {
    method: 'POST',
    path: '/v1/jobs/:id/retry',
    tag: 'Jobs',
    scope: 'submit',
    does:
      'queues a job that has failed or was cancelled; it goes on from its newest checkpoint with a fresh restart budget; ' +
      '409 in other states, while its ranks still stop, and for the job of a sweep',
    answer: one(jobSchema),
    errors: ['job_not_found', 'job_state_conflict'],
  },
  forkJob: {
    method: 'POST',
    path: '/v1/jobs/:id/fork',
    tag: 'Jobs',
    scope: 'submit',
    does:
      'submits a new job from a checkpoint of it: its spec with the fields of `set` changed and `model.init` set, named ' +
      '`<name>-fork` unless `set` names it; with `resume` it goes on with the optimizer state; 201 with the new job',
    body: forkSchema,
    idempotent: true,
    answer: created(jobSchema),
    errors: [...SPEC_ERRORS, 'job_not_found', 'job_state_conflict', 'world_unsatisfiable'],
  },
  listQueue: {
    method: 'GET',
    path: '/v1/queue',
    tag: 'Queue',
    scope: 'read',
    does: 'jobs that wait for slots, in the order in which they are looked at, each with what it waits for',
    query: queueQuerySchema,
    answer: list(queueEntrySchema),
    errors: [],
  },
  listAttempts: {
    method: 'GET',
    path: '/v1/jobs/:id/attempts',
    tag: 'Jobs',
    scope: 'read',
    does: 'its attempts with their ranks',
    answer: list(attemptSchema),
    errors: ['job_not_found'],
  },
  listMetrics: {
    method: 'GET',
    path: '/v1/jobs/:id/metrics',
    tag: 'Jobs',
    scope: 'read',
    does: 'points by step; with `buckets` a series for each metric, exact at any length',
    query: metricsQuerySchema,
    answer: list(metricItemSchema),
    errors: ['job_not_found'],
  },
  listMetricNames: {
    method: 'GET',
    path: '/v1/jobs/:id/metrics/names',
    tag: 'Jobs',
    scope: 'read',
    does: 'the metrics that it has: number of points, first and last step, the value there',
    answer: list(metricNameSchema),
    errors: ['job_not_found'],
  },
  listLogs: {
    method: 'GET',
    path: '/v1/jobs/:id/logs',
    tag: 'Jobs',
    scope: 'read',
    does: 'log lines, oldest first',
    query: logsQuerySchema,
    answer: list(logLineSchema),
    errors: ['job_not_found'],
  },
  listEvaluations: {
    method: 'GET',
    path: '/v1/jobs/:id/evaluations',
    tag: 'Jobs',
    scope: 'read',
    does: 'results of its evaluations, the newest 1000, by step',
    answer: list(evaluationSchema),
    errors: ['job_not_found'],
  },
  listCheckpoints: {
    method: 'GET',
    path: '/v1/jobs/:id/checkpoints',
    tag: 'Jobs',
    scope: 'read',
    does: 'the checkpoints that are kept',
    answer: list(checkpointSchema),
    errors: ['job_not_found'],
  },
  streamEvents: {
    method: 'GET',
    path: '/v1/jobs/:id/events',
    tag: 'Jobs',
    scope: 'read',
    does: 'server-sent events, see below',
    query: eventsQuerySchema,
    answer: { type: 'events' },
    errors: ['job_not_found'],
  },
  getCheckpoint: {
    method: 'GET',
    path: '/v1/checkpoints/:id',
    tag: 'Checkpoints',
    scope: 'read',
    does: 'one checkpoint with its files and hashes',
    answer: one(checkpointSchema),
    errors: ['not_found'],
  },
  getCheckpointFile: {
    method: 'GET',
    path: '/v1/checkpoints/:id/files/:name',
    tag: 'Checkpoints',
    scope: 'read',
    does: 'a file of it as it lies in the store, `manifest.json` too; its sha256 is the `ETag`; `Range` is heeded',
    answer: { type: 'file' },
    errors: ['not_found', 'range_not_satisfiable', 'storage_failed', 'config_invalid'],
  },
  getSimilarity: {
    method: 'GET',
    path: '/v1/checkpoints/:id/similarity',
    tag: 'Checkpoints',
    scope: 'read',
    does:
      'cosine similarities of evaluation pictures and their captions, by the model of the checkpoint. A process of the API ' +
      'opens it when first asked, which takes seconds, and keeps it for some minutes, one checkpoint at a time',
    query: similarityQuerySchema,
    answer: one(similaritySchema),
    errors: INSPECTION_ERRORS,
  },
  searchPictures: {
    method: 'GET',
    path: '/v1/checkpoints/:id/search',
    tag: 'Checkpoints',
    scope: 'read',
    does: 'the evaluation pictures that are most similar to a text, best first, by the same process',
    query: pictureSearchQuerySchema,
    answer: list(pictureMatchSchema),
    errors: INSPECTION_ERRORS,
  },
  getSamplePicture: {
    method: 'GET',
    path: '/v1/checkpoints/:id/samples/:index',
    tag: 'Checkpoints',
    scope: 'read',
    does: 'a picture of these, PNG, as the model sees it',
    answer: { type: 'picture' },
    errors: INSPECTION_ERRORS,
  },
  submitSweep: {
    method: 'POST',
    path: '/v1/sweeps',
    tag: 'Sweeps',
    scope: 'submit',
    does: 'submits a [sweep spec](sweep-spec.md); 201 with the sweep and its `Location`, after all its trials were validated',
    query: submitQuerySchema,
    body: sweepSpecSchema,
    idempotent: true,
    answer: created(sweepSchema),
    errors: ['sweep_invalid', ...SPEC_ERRORS],
  },
  listSweeps: {
    method: 'GET',
    path: '/v1/sweeps',
    tag: 'Sweeps',
    scope: 'read',
    does: 'lists sweeps, newest first',
    query: sweepListQuerySchema,
    answer: list(sweepSchema),
    errors: [],
  },
  getSweep: {
    method: 'GET',
    path: '/v1/sweeps/:id',
    tag: 'Sweeps',
    scope: 'read',
    does: 'one sweep: state, number of trials in each state, budgets of its rungs, the best trial',
    answer: one(sweepSchema),
    errors: ['sweep_not_found'],
  },
  listTrials: {
    method: 'GET',
    path: '/v1/sweeps/:id/trials',
    tag: 'Sweeps',
    scope: 'read',
    does: 'its trials by index: values, state, job, steps, the objective and all metrics at the end of each rung',
    answer: list(trialSchema),
    errors: ['sweep_not_found'],
  },
  pauseSweep: {
    method: 'POST',
    path: '/v1/sweeps/:id/pause',
    tag: 'Sweeps',
    scope: 'submit',
    does: 'starts and promotes no trial any more, and pauses the jobs that run; 409 `sweep_state_conflict` unless it runs',
    answer: one(sweepSchema),
    errors: ['sweep_not_found', 'sweep_state_conflict'],
  },
  resumeSweep: {
    method: 'POST',
    path: '/v1/sweeps/:id/resume',
    tag: 'Sweeps',
    scope: 'submit',
    does: 'goes on with it and with the jobs that were paused with it; 409 unless it is paused',
    answer: one(sweepSchema),
    errors: ['sweep_not_found', 'sweep_state_conflict'],
  },
  cancelSweep: {
    method: 'POST',
    path: '/v1/sweeps/:id/cancel',
    tag: 'Sweeps',
    scope: 'submit',
    does: 'ends it and cancels its jobs; 409 when it has ended',
    answer: one(sweepSchema),
    errors: ['sweep_not_found', 'sweep_state_conflict'],
  },
  listNodes: {
    method: 'GET',
    path: '/v1/nodes',
    tag: 'Nodes',
    scope: 'read',
    does: 'nodes with their slots',
    answer: list(nodeSchema),
    errors: [],
  },
  getNode: {
    method: 'GET',
    path: '/v1/nodes/:id',
    tag: 'Nodes',
    scope: 'read',
    does: 'one node, by its id or name',
    answer: one(nodeSchema),
    errors: ['not_found'],
  },
  drainNode: {
    method: 'POST',
    path: '/v1/nodes/:id/drain',
    tag: 'Nodes',
    scope: 'admin',
    allProjects: true,
    does:
      'gives it no new ranks until it is undrained, even when its worker starts anew; those that run go on to their end, or ' +
      'with `evict` stop with a checkpoint and go on elsewhere',
    query: drainQuerySchema,
    answer: one(nodeSchema),
    errors: ['not_found'],
  },
  undrainNode: {
    method: 'POST',
    path: '/v1/nodes/:id/undrain',
    tag: 'Nodes',
    scope: 'admin',
    allProjects: true,
    does: 'gives it ranks again',
    answer: one(nodeSchema),
    errors: ['not_found'],
  },
  whoAmI: {
    method: 'GET',
    path: '/v1/whoami',
    tag: 'Access',
    scope: 'read',
    does: 'the token of the request: name, scopes, project, when it ends',
    answer: one(callerSchema),
    errors: [],
  },
  signIn: {
    method: 'POST',
    path: '/v1/session',
    tag: 'Access',
    scope: 'none',
    does: 'keeps a token in a cookie that pages cannot read, for browsers; they send it until they end, or `DELETE`',
    body: signInSchema,
    answer: one(callerSchema),
    errors: ['token_invalid', 'origin_refused'],
  },
  signOut: {
    method: 'DELETE',
    path: '/v1/session',
    tag: 'Access',
    scope: 'none',
    does: 'removes the cookie; the token stays valid',
    answer: { type: 'nothing' },
    errors: [],
  },
  createToken: {
    method: 'POST',
    path: '/v1/tokens',
    tag: 'Access',
    scope: 'admin',
    does: 'makes a [token](../guides/security.md#tokens); 201 with it, which is told this once, and its `Location`',
    body: newTokenSchema,
    answer: created(createdTokenSchema),
    errors: [],
  },
  listTokens: {
    method: 'GET',
    path: '/v1/tokens',
    tag: 'Access',
    scope: 'admin',
    does: 'lists tokens, without their secrets, newest first; those that have expired or were revoked too',
    query: pageQuerySchema,
    answer: list(tokenSchema),
    errors: [],
  },
  getToken: {
    method: 'GET',
    path: '/v1/tokens/:id',
    tag: 'Access',
    scope: 'admin',
    does: 'one token, without its secret',
    answer: one(tokenSchema),
    errors: ['token_not_found'],
  },
  revokeToken: {
    method: 'DELETE',
    path: '/v1/tokens/:id',
    tag: 'Access',
    scope: 'admin',
    does: 'revokes it, at once and for good; it stays on record',
    answer: one(tokenSchema),
    errors: ['token_not_found'],
  },
  listAudit: {
    method: 'GET',
    path: '/v1/audit',
    tag: 'Access',
    scope: 'admin',
    does: 'who changed what, newest first',
    query: auditQuerySchema,
    answer: list(auditEventSchema),
    errors: [],
  },
  createWebhook: {
    method: 'POST',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    scope: 'admin',
    does:
      'has events [posted to a URL](../guides/webhooks.md); 201 with the webhook, its secret, which is told this once, and its ' +
      '`Location`',
    body: newWebhookSchema,
    answer: created(createdWebhookSchema),
    errors: ['scope_insufficient'],
  },
  listWebhooks: {
    method: 'GET',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    scope: 'admin',
    does: 'lists webhooks, newest first',
    query: webhookListQuerySchema,
    answer: list(webhookSchema),
    errors: [],
  },
  getWebhook: {
    method: 'GET',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    scope: 'admin',
    does: 'one webhook, without its secret',
    answer: one(webhookSchema),
    errors: ['webhook_not_found'],
  },
  editWebhook: {
    method: 'PATCH',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    scope: 'admin',
    does: 'changes it; what is pending is sent as it is then',
    body: webhookPatchSchema,
    answer: one(webhookSchema),
    errors: ['webhook_not_found'],
  },
  deleteWebhook: {
    method: 'DELETE',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    scope: 'admin',
    does: 'removes it with its deliveries; nothing more is sent',
    answer: { type: 'nothing' },
    errors: ['webhook_not_found'],
  },
  pingWebhook: {
    method: 'POST',
    path: '/v1/webhooks/:id/ping',
    tag: 'Webhooks',
    scope: 'admin',
    does: 'sends it a message of type `webhook.ping`, whether it is active or not; 201 with the delivery',
    answer: created(deliverySchema),
    errors: ['webhook_not_found'],
  },
  listDeliveries: {
    method: 'GET',
    path: '/v1/webhooks/:id/deliveries',
    tag: 'Webhooks',
    scope: 'admin',
    does: 'what was sent and is to be, newest first, each with how its last attempt went; kept for 30 days',
    query: deliveryListQuerySchema,
    answer: list(deliverySchema),
    errors: ['webhook_not_found'],
  },
  redeliver: {
    method: 'POST',
    path: '/v1/webhooks/:id/deliveries/:delivery/redeliver',
    tag: 'Webhooks',
    scope: 'admin',
    does: 'sends a message again at once, under the same `webhook-id`, and tries as often as the first time',
    answer: one(deliverySchema),
    errors: ['webhook_not_found', 'not_found'],
  },
  getOpenApi: {
    method: 'GET',
    path: '/v1/openapi.json',
    tag: 'Service',
    scope: 'none',
    does: 'this API as an OpenAPI 3.1 document; `/docs` shows it and tries it out',
    answer: { type: 'json' },
    errors: [],
  },
  getMetrics: {
    method: 'GET',
    path: '/metrics',
    tag: 'Service',
    scope: 'read',
    allProjects: true,
    does: 'for Prometheus: requests and memory of this process, jobs, slots, the queue, and what running jobs report',
    answer: { type: 'text' },
    errors: [],
  },
  isAlive: {
    method: 'GET',
    path: '/healthz',
    tag: 'Service',
    scope: 'none',
    does: '200 while the process answers',
    answer: one(healthSchema),
    errors: [],
  },
  isReady: {
    method: 'GET',
    path: '/readyz',
    tag: 'Service',
    scope: 'none',
    does: '200 when its stores answer too, else 503; 503 while it drains',
    answer: { ...one(healthSchema), or: 503 },
    errors: [],
  },
} as const satisfies Readonly<Record<string, Operation>>;

export type OperationId = keyof typeof OPERATIONS;
/** Whether its answers have an `ETag`, with which clients that poll are answered 304. */
export function isTagged({ method, tag, answer }: Operation): boolean {
  if (answer.type === 'json') return true;
  return (
    (method === 'GET' || method === 'PATCH') && tag !== 'Service' && (answer.type === 'one' || answer.type === 'list')
  );
}

/** Names and types of the parameters of a path. */
export type PathParameters<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Readonly<Record<Name, string>> & PathParameters<`/${Rest}`>
  : P extends `${string}:${infer Name}`
    ? Readonly<Record<Name, string>>
    : unknown;

/** What `query` of an operation is after parsing: no parameters where it names none. */
export type QueryOf<O extends Operation> = O extends { readonly query: infer Q extends z.ZodType }
  ? z.output<Q>
  : object;
