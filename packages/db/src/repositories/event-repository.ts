import type { JobEvent } from '@clipyard/contracts';
import { type Event as EventRow, Prisma } from '../generated/client.js';
import { type Client, json } from './client.js';

export type { EventRow };

export interface EventData {
  readonly jobId: string;
  readonly type: JobEvent['type'];
  readonly epoch: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * Of the events in `added`: a message to each webhook that asks for such events of such jobs, and one that it is due.
 * Pictures in the samples of an evaluation are left out: they are for eyes.
 */
const DELIVERIES = Prisma.sql`delivery AS (
    INSERT INTO webhook_delivery (id, webhook_id, type, job_id, payload)
    SELECT 'dlv-' || replace(gen_random_uuid()::text, '-', ''), webhook.id, event.type, job.id, jsonb_build_object(
      'type', event.type,
      'timestamp', to_char(event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'data', jsonb_build_object('id', event.id::text, 'epoch', event.epoch, 'event', event.data - 'samples',
        'job', jsonb_build_object('id', job.id, 'name', job.name, 'project', job.project, 'labels', job.labels,
          'state', job.state)))
    FROM added AS event JOIN webhook ON webhook.active AND event.type = ANY (webhook.events)
      JOIN job ON job.id = event.job_id AND coalesce(webhook.project, job.project) = job.project
        AND job.labels @> webhook.labels
    RETURNING id
  ), due AS (
    INSERT INTO outbox (queue, key, payload)
    SELECT 'webhooks', id || '_1', jsonb_build_object('deliveryId', id, 'attempt', 1) FROM delivery RETURNING 1
  )`;

export class EventRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * Writes an event and tells the listeners when the transaction commits. The caller holds the lock of the job's row:
   * so ids of one job become visible in ascending order, and nobody who reads on from an id misses one.
   */
  async append(event: EventData): Promise<void> {
    await this.appendAll([event]);
  }

  /** Several of one job, in their order. */
  async appendAll(events: readonly EventData[]): Promise<void> {
    const [first] = events;
    if (first === undefined) return;
    await this.#client.$executeRaw`
      WITH added AS (
        INSERT INTO event (job_id, type, epoch, at, data)
        SELECT ${first.jobId}, type, epoch, ${new Date()}::timestamptz, data::jsonb
        FROM unnest(${events.map(({ type }) => type)}::text[], ${events.map(({ epoch }) => epoch)}::int[],
          ${events.map(({ data }) => JSON.stringify(json(data)))}::text[]) WITH ORDINALITY AS new(type, epoch, data, place)
        ORDER BY place RETURNING *
      ), ${DELIVERIES} SELECT pg_notify('clipyard_event', ${first.jobId}), (SELECT count(pg_notify('clipyard_outbox', '')) FROM due)`;
  }

  /** The newest events of one type of a job, oldest of them first. */
  async newest(jobId: string, type: JobEvent['type'], limit: number): Promise<EventRow[]> {
    const rows = await this.#client.event.findMany({ where: { jobId, type }, orderBy: { id: 'desc' }, take: limit });
    return rows.reverse();
  }

  /** 0 before the first. */
  async newestId(jobId: string): Promise<bigint> {
    const { _max } = await this.#client.event.aggregate({ where: { jobId }, _max: { id: true } });
    return _max.id ?? 0n;
  }

  /** Events of a job after an id, oldest first; those of type `metrics` only after `metricsAfter`. */
  async after(jobId: string, id: bigint, limit: number, metricsAfter = 0n): Promise<EventRow[]> {
    const later = metricsAfter > id ? [{ OR: [{ type: { not: 'metrics' } }, { id: { gt: metricsAfter } }] }] : [];
    const where = { jobId, id: { gt: id }, AND: later };
    return await this.#client.event.findMany({ where, orderBy: { id: 'asc' }, take: limit });
  }
}
