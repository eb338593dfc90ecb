import { z } from 'zod';
import { projectSchema } from './access.js';
import { alarmSchema } from './alarms.js';
import { ERRORS } from './errors.js';
import { LIMITS } from './limits.js';
import { runSpecSchema } from './run-spec/run-spec.js';
import { ATTEMPT_STATES, JOB_STATES, NODE_STATES, RANK_STATES } from './states.js';

/** Resources and requests of the REST API, `/v1`. Times are ISO 8601 in UTC. */
const time = z.iso.datetime();

export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.enum(Object.keys(ERRORS) as [keyof typeof ERRORS]),
  detail: z.string(),
  errors: z.array(
    z.object({ path: z.string(), message: z.string(), value: z.unknown().optional(), remedy: z.string().optional() }),
  ),
  requestId: z.string(),
});

const jobError = z.object({ code: z.string(), message: z.string(), fields: z.array(z.unknown()).default([]) });

export const jobSchema = z.object({
  id: z.string(),
  name: z.string(),
  project: z.string(),
  state: z.enum(JOB_STATES),
  /** Why it is in this state, for people. */
  reason: z.string().nullable(),
  labels: z.record(z.string(), z.string()),
  priority: z.int(),
  spec: runSpecSchema,
  /** Epoch of the newest attempt; 0 before the first. */
  epoch: z.int(),
  worldSize: z.int().nullable(),
  /** Finished steps and the number of steps in all; null before the ranks have planned. */
  step: z.int(),
  totalSteps: z.int().nullable(),
  /** Step after which it pauses by itself, as the trials of a sweep do; null: none, or not planned yet. */
  pauseStep: z.int().nullable(),
  /** Newest value of each metric. */
  latest: z.record(z.string(), z.number()),
  /** That stand; `alarm` events tell when they are raised and cleared. */
  alarms: z.array(alarmSchema).default([]),
  restarts: z.object({ infrastructure: z.int(), user: z.int() }),
  error: jobError.nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
});
export type Job = z.infer<typeof jobSchema>;

export const rankSchema = z.object({
  rank: z.int(),
  nodeId: z.string(),
  slot: z.int(),
  state: z.enum(RANK_STATES),
  host: z.string().nullable(),
  port: z.int().nullable(),
  pid: z.int().nullable(),
  error: jobError.nullable(),
});
export type Rank = z.infer<typeof rankSchema>;

export const attemptSchema = z.object({
  epoch: z.int(),
  state: z.enum(ATTEMPT_STATES),
  worldSize: z.int(),
  startStep: z.int().nullable(),
  error: jobError.nullable(),
  ranks: z.array(rankSchema),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
});
export type Attempt = z.infer<typeof attemptSchema>;

export const checkpointSchema = z.object({
  id: z.string(),
  jobId: z.string(),
  epoch: z.int(),
  step: z.int(),
  position: z.int(),
  worldSize: z.int(),
  url: z.string(),
  bytes: z.int(),
  manifestSha256: z.string(),
  metrics: z.record(z.string(), z.number()),
  /** Names without folders: clients write files of these names. */
  files: z.array(z.object({ name: z.string().regex(/^[\w-][\w.-]*$/), bytes: z.int(), sha256: z.string() })),
  createdAt: time,
});
export type Checkpoint = z.infer<typeof checkpointSchema>;

export const nodeSchema = z.object({
  id: z.string(),
  name: z.string(),
  pool: z.string(),
  state: z.enum(NODE_STATES),
  /** Drained by request: it gets no ranks until that is undone, even when its worker starts anew. */
  drained: z.boolean(),
  host: z.string(),
  version: z.string(),
  engines: z.array(z.string()),
  slots: z.array(
    z.object({
      index: z.int(),
      busy: z.boolean(),
      /** null: it is free, or holds a rank of a project that the caller does not see. */
      jobId: z.string().nullable(),
      epoch: z.int().nullable(),
      rank: z.int().nullable(),
    }),
  ),
  /** When its lease runs out, by the database's clock. */
  leaseExpiresAt: time,
  registeredAt: time,
});
export type Node = z.infer<typeof nodeSchema>;

export const metricPointSchema = z.object({
  step: z.int(),
  name: z.string(),
  value: z.number(),
  epoch: z.int(),
  at: time,
});
export type MetricPoint = z.infer<typeof metricPointSchema>;

/** A metric in buckets of steps, as columns of equal length: one entry for each bucket that has a point. */
export const metricSeriesSchema = z.object({
  name: z.string(),
  /** Steps that a bucket covers; 1: every point is there as it is. */
  bucketSteps: z.int(),
  /** First and last step with a point. */
  firstStep: z.array(z.int()),
  lastStep: z.array(z.int()),
  /** Points in the bucket. */
  count: z.array(z.int()),
  min: z.array(z.number()),
  max: z.array(z.number()),
  mean: z.array(z.number()),
  /** Values at `firstStep` and `lastStep`. */
  first: z.array(z.number()),
  last: z.array(z.number()),
});
export type MetricSeries = z.infer<typeof metricSeriesSchema>;

/** Points, or series where buckets were asked for. */
export const metricItemSchema = z.union([metricPointSchema, metricSeriesSchema]);

/** A metric that a job has. */
export const metricNameSchema = z.object({
  name: z.string(),
  points: z.int(),
  firstStep: z.int(),
  lastStep: z.int(),
  /** Value at `lastStep`. */
  latest: z.number(),
  at: time,
});
export type MetricName = z.infer<typeof metricNameSchema>;

export const logLineSchema = z.object({
  id: z.string(),
  at: time,
  level: z.enum(['debug', 'info', 'warn', 'error']),
  epoch: z.int(),
  rank: z.int().nullable(),
  message: z.string(),
  fields: z.record(z.string(), z.unknown()).nullable(),
});
export type LogLine = z.infer<typeof logLineSchema>;

/** The results of one evaluation of a job, during training or of type `evaluate`. */
export const evaluationSchema = z.object({
  id: z.string(),
  jobId: z.string(),
  epoch: z.int(),
  /** Steps that the weights were trained for. */
  step: z.int(),
  final: z.boolean(),
  /** By metric name. */
  values: z.record(z.string(), z.number()),
  results: z.array(
    z.object({
      /** Its `name`, or else its type. */
      task: z.string(),
      type: z.string(),
      values: z.record(z.string(), z.number()),
      /** What else there is to know: numbers of samples, accuracies by class, the strengths that were tried. */
      details: z.record(z.string(), z.unknown()),
    }),
  ),
  at: time,
});
export type Evaluation = z.infer<typeof evaluationSchema>;

/** What `GET /jobs/:id/events` sends; `id` grows and is the SSE event id. */
export const EVENT_TYPES = [
  'job.state',
  'attempt.state',
  'rank.state',
  'plan',
  'metrics',
  'checkpoint',
  'evaluation',
  'warning',
  'job.edited',
  'alarm',
] as const;
export const jobEventSchema = z.object({
  id: z.string(),
  jobId: z.string(),
  type: z.enum(EVENT_TYPES),
  at: time,
  epoch: z.int(),
  data: z.record(z.string(), z.unknown()),
});
export type JobEvent = z.infer<typeof jobEventSchema>;

export const pageQuerySchema = z.object({
  cursor: z.string().max(512).optional().describe('`nextCursor` of the page before'),
  limit: z.coerce.number().int().min(1).max(500).default(50).describe('most items of a page'),
});

export const submitQuerySchema = z.object({
  project: projectSchema.optional().describe("default: the token's, or else `default`"),
});

export const auditQuerySchema = pageQuerySchema.extend({
  actor: z.string().max(200).optional().describe('name or id of the token'),
  action: z.string().max(100).optional().describe('id of the operation, such as `submitJob`'),
  target: z.string().max(200).optional().describe('id of what was changed'),
  project: projectSchema.optional(),
  since: z.iso.datetime().optional(),
  until: z.iso.datetime().optional(),
});

/** A parameter that may be given often. */
function several<T extends z.ZodType>(item: T, max: number) {
  return z.union([item, z.array(item).max(max)]).transform((value) => [value].flat() as z.output<T>[]);
}

/** `-`: descending. */
export const JOB_SORTS = [
  '-createdAt',
  'createdAt',
  '-finishedAt',
  'finishedAt',
  '-priority',
  'priority',
  'name',
  '-name',
] as const;
export type JobSort = (typeof JOB_SORTS)[number];

const timeFilter = z.iso.datetime({ offset: true }).optional();

export const jobListQuerySchema = pageQuerySchema.extend({
  project: projectSchema.optional(),
  state: several(z.enum(JOB_STATES), JOB_STATES.length).optional().describe('may be given often'),
  label: several(z.string().min(1).max(320), 16)
    .optional()
    .describe('`key` or `key=value`; may be given often, then all must be there'),
  text: z.string().min(1).max(200).optional().describe('in id, name, labels or reason, whatever the case'),
  createdAfter: timeFilter.describe('not older than this time'),
  createdBefore: timeFilter.describe('older than this time'),
  sort: z.enum(JOB_SORTS).default('-createdAt').describe('by what, `-` for descending'),
});

export const queueQuerySchema = pageQuerySchema.extend({
  pool: z.string().max(63).optional().describe('only jobs that wait in this pool'),
});

const metricName = z.string().max(200);
const step = z.coerce.number().int().min(0).max(2_147_483_647);

export const metricsQuerySchema = z.object({
  name: several(metricName, LIMITS.metricNames).optional().describe('of the metric; may be given often'),
  afterStep: step.optional().describe('only points after this step'),
  fromStep: step.optional().describe('only points from this step on'),
  toStep: step.optional().describe('only points up to this step'),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(1000)
    .describe('most points, where no buckets are asked for'),
  buckets: z.coerce
    .number()
    .int()
    .min(1)
    .max(2000)
    .optional()
    .describe(
      'series in place of points: minimum, maximum, mean, count, first and last of at most so many buckets of steps',
    ),
});

export const logsQuerySchema = pageQuerySchema.extend({
  level: z.enum(['debug', 'info', 'warn', 'error']).optional().describe('at least'),
  rank: z.coerce.number().int().min(0).max(4095).optional().describe('only lines of this rank'),
  text: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe(
      'only lines with these words (`"a phrase"`, `or`, `-not`), case aside; where no line has them, with this text anywhere',
    ),
  from: z.iso.datetime({ offset: true }).optional().describe('only lines from this time on'),
  to: z.iso.datetime({ offset: true }).optional().describe('only lines up to this time'),
  order: z.enum(['oldest', 'newest']).default('oldest').describe('which lines come first'),
});

export const eventsQuerySchema = z.object({
  after: z.string().max(64).optional().describe('only events after the one with this id'),
  metrics: z
    .enum(['all', 'live'])
    .default('all')
    .describe('`live`: without an id to go on from, `metrics` events that are stored already are left out'),
});

export interface Page<T> {
  readonly items: readonly T[];
  /** Give it as `cursor` to get what follows; null at the end. */
  readonly nextCursor: string | null;
}

export const healthSchema = z.object({
  status: z.enum(['ok', 'unavailable']),
  checks: z.record(z.string(), z.string()),
});
export type Health = z.infer<typeof healthSchema>;
