import type { JobEvent } from '@clipyard/contracts';
import type { Event as EventRow } from '../generated/client.js';
import { type Client, json } from './client.js';

export type { EventRow };

export interface EventData {
  readonly jobId: string;
  readonly type: JobEvent['type'];
  readonly epoch: number;
  readonly data: Readonly<Record<string, unknown>>;
}

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
    const at = new Date();
    await this.#client.event.createMany({ data: events.map((event) => ({ ...event, data: json(event.data), at })) });
    await this.#client.$executeRaw`SELECT pg_notify('clipyard_event', ${first.jobId})`;
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
