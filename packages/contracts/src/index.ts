export {
  type AuditEvent,
  auditEventSchema,
  type CallerView,
  type CreatedToken,
  callerSchema,
  createdTokenSchema,
  DEFAULT_PROJECT,
  includesScope,
  type NewToken,
  type NewTokenInput,
  newTokenSchema,
  projectSchema,
  SCOPES,
  type Scope,
  signInSchema,
  type Token,
  tokenSchema,
} from './access.js';
export { ALARMS, type Alarm, type AlarmCode, alarmSchema } from './alarms.js';
export {
  type Attempt,
  attemptSchema,
  auditQuerySchema,
  type Checkpoint,
  checkpointSchema,
  EVENT_TYPES,
  type Evaluation,
  evaluationSchema,
  eventsQuerySchema,
  type Health,
  healthSchema,
  JOB_SORTS,
  type Job,
  type JobEvent,
  type JobSort,
  jobEventSchema,
  jobListQuerySchema,
  jobSchema,
  type LogLine,
  logLineSchema,
  logsQuerySchema,
  type MetricName,
  type MetricPoint,
  type MetricSeries,
  metricNameSchema,
  metricPointSchema,
  metricSeriesSchema,
  metricsQuerySchema,
  type Node,
  nodeSchema,
  type Page,
  pageQuerySchema,
  problemSchema,
  type Rank,
  rankSchema,
} from './api.js';
export {
  ClipyardError,
  type ClipyardErrorOptions,
  ERRORS,
  type ErrorCode,
  type FieldProblem,
  fieldError,
  type Problem,
  type SerializedError,
  toProblem,
} from './errors.js';
export { fieldProblems } from './field-problems.js';
export {
  type PictureMatch,
  pictureMatchSchema,
  pictureSearchQuerySchema,
  type Similarity,
  similarityQuerySchema,
  similaritySchema,
} from './inspection.js';
export { LIMITS } from './limits.js';
export type {
  BlobInfo,
  BlobStat,
  BlobStore,
  Cancellable,
  Clock,
  Group,
  Link,
  NumericArray,
  ReduceOperation,
} from './ports.js';
export {
  type CheckpointFile,
  type CheckpointRecord,
  type LogLevel,
  METRICS,
  type PeerAddress,
  type PredictionSample,
  type RankReport,
  type RankStart,
  type RankToWorker,
  type TaskResult,
  type WorkerToRank,
} from './rank-protocol.js';
export {
  drainQuerySchema,
  type Fork,
  type ForkInput,
  forkSchema,
  type JobPatch,
  jobPatchSchema,
  type QueueEntry,
  queueEntrySchema,
} from './rest/job-actions.js';
export { openApiDocument } from './rest/openapi.js';
export { isTagged, type Operation, type PathParameters, type QueryOf } from './rest/operation.js';
export { OPERATIONS, type OperationId } from './rest/operations.js';
export { CORRUPTION_TYPES, type CorruptionType } from './run-spec/corruptions.js';
export { type DataSource, dataSourceSchema } from './run-spec/data-source.js';
export type { Duration } from './run-spec/duration.js';
export { evaluationSections } from './run-spec/evaluate-spec.js';
export type { EvaluationTask } from './run-spec/evaluation.js';
export { parseRunSpec, type RunSpec, type RunSpecInput, runSpecSchema, worldSizes } from './run-spec/run-spec.js';
export {
  ATTEMPT_STATES,
  ATTEMPT_TRANSITIONS,
  type AttemptState,
  isFinalJobState,
  JOB_FINAL_STATES,
  JOB_STATES,
  JOB_TRANSITIONS,
  type JobState,
  NODE_STATES,
  type NodeState,
  RANK_FINAL_STATES,
  RANK_STATES,
  RANK_TRANSITIONS,
  type RankState,
} from './states.js';
export { type Constraint, keepsConstraint, parseConstraint } from './sweep/constraint.js';
export { parameterSchema, type SweepParameter } from './sweep/parameter.js';
export {
  type Sweep,
  sweepListQuerySchema,
  sweepSchema,
  type Trial,
  type TrialResult,
  trialResultSchema,
  trialSchema,
} from './sweep/sweep-api.js';
export {
  parseSweepSpec,
  type SweepSpec,
  type SweepSpecInput,
  sweepError,
  sweepSpecSchema,
} from './sweep/sweep-spec.js';
export {
  isFinalSweepState,
  SWEEP_STATES,
  SWEEP_TRANSITIONS,
  type SweepState,
  TRIAL_OPEN_STATES,
  TRIAL_STATES,
  TRIAL_TRANSITIONS,
  type TrialState,
} from './sweep/sweep-states.js';
export {
  type CreatedWebhook,
  createdWebhookSchema,
  DELIVERY_STATES,
  type Delivery,
  type DeliveryState,
  deliverySchema,
  type NewWebhook,
  type NewWebhookInput,
  newWebhookSchema,
  WEBHOOK_EVENTS,
  WEBHOOK_PING,
  type Webhook,
  type WebhookPatch,
  webhookPatchSchema,
  webhookSchema,
} from './webhooks.js';
