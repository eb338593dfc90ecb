import {
  type CreatedWebhook,
  createdWebhookSchema,
  type Delivery,
  type DeliveryState,
  deliverySchema,
  type NewWebhookInput,
  type Page,
  type Webhook,
  type WebhookPatch,
  webhookSchema,
} from '@clipyard/contracts';
import type { Call, Reader } from './reader.js';

/** The webhooks of the REST API. */
export class WebhookCalls {
  readonly #reader: Reader;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** Not repeated on a failure: there would be two. The secret is told here only. */
  create(webhook: NewWebhookInput, options: Call = {}): Promise<CreatedWebhook> {
    return this.#reader.act(createdWebhookSchema, '/v1/webhooks', { body: webhook, ...options });
  }

  /** Newest first. */
  list(query: { project?: string; cursor?: string; limit?: number } = {}, options: Call = {}): Promise<Page<Webhook>> {
    return this.#reader.page(webhookSchema, '/v1/webhooks', query, options);
  }

  get(webhookId: string, options: Call = {}): Promise<Webhook> {
    return this.#reader.get(webhookSchema, path(webhookId), {}, options);
  }

  edit(webhookId: string, patch: WebhookPatch, options: Call = {}): Promise<Webhook> {
    return this.#reader.patch(webhookSchema, path(webhookId), patch, options);
  }

  delete(webhookId: string, options: Call = {}): Promise<void> {
    return this.#reader.remove(path(webhookId), options);
  }

  /** Sends a message that only tries whether messages arrive. */
  ping(webhookId: string, options: Call = {}): Promise<Delivery> {
    return this.#reader.act(deliverySchema, `${path(webhookId)}/ping`, options);
  }

  /** Newest first. */
  deliveries(
    webhookId: string,
    query: { state?: DeliveryState; cursor?: string; limit?: number } = {},
    options: Call = {},
  ): Promise<Page<Delivery>> {
    return this.#reader.page(deliverySchema, `${path(webhookId)}/deliveries`, query, options);
  }

  redeliver(webhookId: string, deliveryId: string, options: Call = {}): Promise<Delivery> {
    const delivery = `${path(webhookId)}/deliveries/${encodeURIComponent(deliveryId)}`;
    return this.#reader.act(deliverySchema, `${delivery}/redeliver`, options);
  }
}

const path = (webhookId: string): string => `/v1/webhooks/${encodeURIComponent(webhookId)}`;
