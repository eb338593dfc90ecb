export type { AdvisoryLock } from './advisory-lock.js';
export { Database, type DatabaseOptions, openDatabase } from './database.js';
export { EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded/embedded-postgres.js';
export type { Channel, Listener } from './listener.js';
export { migrate } from './migrate.js';
export type { AttemptRow, AttemptWithRanks, RankPlace, RankRow } from './repositories/attempt-repository.js';
export type { AuditEntry, AuditQuery, AuditRow } from './repositories/audit-repository.js';
export type { CheckpointRow } from './repositories/checkpoint-repository.js';
export type { TimeCursor } from './repositories/client.js';
export type { EventData, EventRow } from './repositories/event-repository.js';
export type { JobCursor, JobListQuery } from './repositories/job-list.js';
export type {
  FreeCount,
  JobChanges,
  JobNeeds,
  JobRow,
  NewJob,
  QueueCursor,
  StartableJob,
  WaitingJob,
} from './repositories/job-repository.js';
export type { LogRow } from './repositories/log-repository.js';
export { bucketGrid } from './repositories/metric-buckets.js';
export type { MetricExtent, MetricRow, MetricSeriesRow, MetricValue } from './repositories/metric-repository.js';
export type { FreeSlot, NodeRow, NodeWithSlots, ReadySlots, SlotRow } from './repositories/node-repository.js';
export type { OutboxRow } from './repositories/outbox-repository.js';
export type { Repositories } from './repositories/repositories.js';
export type { NewTrial, SweepRow, TrialRow } from './repositories/sweep-repository.js';
export type { TokenData, TokenRow } from './repositories/token-repository.js';
export type {
  AttemptOutcome,
  DeliveryRow,
  DeliveryWithWebhook,
  WebhookChanges,
  WebhookRow,
} from './repositories/webhook-repository.js';
export { bootTestDatabase, type TestDatabase } from './test-database.js';
