import type { DeliveryState } from '@clipyard/contracts';
import type { WebhookDelivery as DeliveryRow, Prisma, Webhook as WebhookRow } from '../generated/client.js';
import { type Client, json, storableText, type TimeCursor } from './client.js';

export type { DeliveryRow, WebhookRow };
export type DeliveryWithWebhook = DeliveryRow & { readonly webhook: WebhookRow };

export interface WebhookData {
  readonly project: string | null;
  readonly url: string;
  readonly events: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly secret: string;
  readonly active: boolean;
}

export interface WebhookChanges extends Partial<Omit<WebhookData, 'project'>> {
  readonly reason?: string | null;
  readonly failingSince?: Date | null;
}

/** How an attempt went. */
export interface AttemptOutcome {
  readonly state: DeliveryState;
  readonly attempts: number;
  readonly status: number | null;
  readonly error: string | null;
  readonly response: string | null;
  readonly durationMs: number;
  readonly attemptedAt: Date;
  readonly nextAttemptAt: Date | null;
}

const older = ({ createdAt, id }: TimeCursor): { OR: object[] } => ({
  OR: [{ createdAt: { lt: createdAt } }, { createdAt, id: { lt: id } }],
});
const NEWEST_FIRST = [{ createdAt: 'desc' }, { id: 'desc' }] satisfies Prisma.WebhookOrderByWithRelationInput[];

/** Webhooks with what was sent to each. */
export class WebhookRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async create(id: string, data: WebhookData): Promise<WebhookRow> {
    return await this.#client.webhook.create({
      data: { id, ...data, events: [...data.events], labels: json(data.labels) },
    });
  }

  async find(id: string): Promise<WebhookRow | null> {
    return await this.#client.webhook.findUnique({ where: { id } });
  }

  async list(query: { project?: string; after?: TimeCursor; limit: number }): Promise<WebhookRow[]> {
    const { project, after, limit } = query;
    return await this.#client.webhook.findMany({
      where: { ...(project === undefined ? {} : { project }), ...(after === undefined ? {} : older(after)) },
      orderBy: NEWEST_FIRST,
      take: limit,
    });
  }

  async update(id: string, { events, labels, ...changes }: WebhookChanges): Promise<WebhookRow> {
    return await this.#client.webhook.update({
      where: { id },
      data: {
        ...changes,
        ...(events === undefined ? {} : { events: [...events] }),
        ...(labels === undefined ? {} : { labels: json(labels) }),
      },
    });
  }

  async remove(id: string): Promise<void> {
    await this.#client.webhook.delete({ where: { id } });
  }

  async createDelivery(id: string, webhookId: string, type: string, payload: unknown): Promise<DeliveryRow> {
    return await this.#client.webhookDelivery.create({ data: { id, webhookId, type, payload: json(payload) } });
  }

  async findDelivery(id: string): Promise<DeliveryWithWebhook | null> {
    return await this.#client.webhookDelivery.findUnique({ where: { id }, include: { webhook: true } });
  }

  async listDeliveries(
    webhookId: string,
    query: { state?: DeliveryState; after?: TimeCursor; limit: number },
  ): Promise<DeliveryRow[]> {
    const { state, after, limit } = query;
    return await this.#client.webhookDelivery.findMany({
      where: { webhookId, ...(state === undefined ? {} : { state }), ...(after === undefined ? {} : older(after)) },
      orderBy: NEWEST_FIRST,
      take: limit,
    });
  }

  async recordAttempt(id: string, { error, response, ...outcome }: AttemptOutcome): Promise<void> {
    await this.#client.webhookDelivery.updateMany({
      where: { id },
      data: {
        ...outcome,
        error: error === null ? null : storableText(error),
        response: response === null ? null : storableText(response),
      },
    });
  }

  /** Makes a message due again, as if it were new. */
  async renewDelivery(id: string): Promise<DeliveryRow> {
    return await this.#client.webhookDelivery.update({
      where: { id },
      data: { state: 'pending', attempts: 0, nextAttemptAt: null },
    });
  }

  /** Gives up what is pending. */
  async failPending(webhookId: string, error: string): Promise<void> {
    await this.#client.webhookDelivery.updateMany({
      where: { webhookId, state: 'pending' },
      data: { state: 'failed', error, nextAttemptAt: null },
    });
  }

  /** Forgets messages older than this; returns how many. */
  async removeDeliveries(olderThanMs: number): Promise<number> {
    return await this.#client.$executeRaw`
      DELETE FROM webhook_delivery WHERE created_at < clock_timestamp() - make_interval(secs => ${olderThanMs / 1000})`;
  }
}
