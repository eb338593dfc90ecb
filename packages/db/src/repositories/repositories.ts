import { AttemptRepository } from './attempt-repository.js';
import { AuditRepository } from './audit-repository.js';
import { CheckpointRepository } from './checkpoint-repository.js';
import type { Client, Rows } from './client.js';
import { EventRepository } from './event-repository.js';
import { IdempotencyRepository } from './idempotency-repository.js';
import { JobRepository } from './job-repository.js';
import { LogRepository } from './log-repository.js';
import { MetricRepository } from './metric-repository.js';
import { NodeRepository } from './node-repository.js';
import { OutboxRepository } from './outbox-repository.js';
import { SweepRepository } from './sweep-repository.js';
import { TokenRepository } from './token-repository.js';
import { WebhookRepository } from './webhook-repository.js';

/** One repository per aggregate, all on one client. */
export interface Repositories {
  readonly jobs: JobRepository;
  readonly attempts: AttemptRepository;
  readonly nodes: NodeRepository;
  readonly checkpoints: CheckpointRepository;
  readonly metrics: MetricRepository;
  readonly logs: LogRepository;
  readonly events: EventRepository;
  readonly outbox: OutboxRepository;
  readonly idempotency: IdempotencyRepository;
  readonly sweeps: SweepRepository;
  readonly webhooks: WebhookRepository;
  readonly tokens: TokenRepository;
  readonly audit: AuditRepository;
}

export function createRepositories(client: Client, rows: Rows = (query) => client.$queryRaw(query)): Repositories {
  return {
    jobs: new JobRepository(client, rows),
    attempts: new AttemptRepository(client),
    nodes: new NodeRepository(client),
    checkpoints: new CheckpointRepository(client),
    metrics: new MetricRepository(client),
    logs: new LogRepository(client),
    events: new EventRepository(client),
    outbox: new OutboxRepository(client),
    idempotency: new IdempotencyRepository(client),
    sweeps: new SweepRepository(client),
    webhooks: new WebhookRepository(client),
    tokens: new TokenRepository(client),
    audit: new AuditRepository(client),
  };
}
