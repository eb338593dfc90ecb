import type {
  CreatedWebhook,
  Delivery,
  DeliveryState,
  NewWebhook,
  Page,
  Webhook,
  WebhookPatch,
} from '@clipyard/contracts';

/** What the API needs of webhooks. Unknown ids throw `webhook_not_found`, of deliveries `not_found`. */
export interface WebhookPlane {
  create(webhook: NewWebhook): Promise<CreatedWebhook>;
  list(query: { project?: string; cursor?: string; limit: number }): Promise<Page<Webhook>>;
  get(webhookId: string): Promise<Webhook>;
  edit(webhookId: string, patch: WebhookPatch): Promise<Webhook>;
  delete(webhookId: string): Promise<void>;
  /** Sends a message that only tries whether messages arrive. */
  ping(webhookId: string): Promise<Delivery>;
  deliveries(
    webhookId: string,
    query: { state?: DeliveryState; cursor?: string; limit: number },
  ): Promise<Page<Delivery>>;
  redeliver(webhookId: string, deliveryId: string): Promise<Delivery>;
}
