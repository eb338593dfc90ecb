import type { Database, DeliveryWithWebhook } from '@clipyard/db';
import { type MessageBus, type Subscription, type WebhookMessage, webhookQueue } from '@clipyard/queue';
import type { Logger } from '@clipyard/runtime';
import { wakeForDelivery } from '../messages.js';
import type { WebhookOptions } from './create-webhook-plane.js';
import { type PostOutcome, postMessage } from './post-message.js';

export interface WebhookSenderDeps {
  readonly database: Database;
  readonly bus: MessageBus;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
}

export interface WebhookSenderOptions extends WebhookOptions {
  /** Time for one attempt, ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** Wait before the second attempt, ms; it is four times as long each time, up to six hours. Default 5,000. */
  readonly retryMs?: number;
  /** Attempts of one message. Default 12: they end after a day. */
  readonly attempts?: number;
  /** A webhook that has failed for this long is switched off, ms. Default 5 days. */
  readonly offAfterMs?: number;
}

/** Longest wait between two attempts, ms. */
const MAX_RETRY_MS = 6 * 3_600_000;
/** Messages sent at once by one process. */
const CONCURRENCY = 8;
/** How long what was sent is remembered, ms. */
const KEEP_DELIVERIES_MS = 30 * 86_400_000;
const CLEAN_EVERY_MS = 3_600_000;
/** The receiver wants no more (Standard Webhooks). */
const GONE = 410;

/** Takes the messages to webhooks from the queue and posts them; what was not taken is due again later. */
export class WebhookSender {
  readonly #deps: WebhookSenderDeps;
  readonly #options: Required<WebhookSenderOptions>;
  readonly #closing = new AbortController();
  #subscription: Subscription | undefined;
  #cleaning: NodeJS.Timeout | undefined;

  constructor(deps: WebhookSenderDeps, options: WebhookSenderOptions) {
    this.#deps = deps;
    this.#options = { timeoutMs: 10_000, retryMs: 5000, attempts: 12, offAfterMs: 5 * 86_400_000, ...options };
  }

  async start(): Promise<void> {
    const { bus, database, logger } = this.#deps;
    this.#subscription = await bus.consume(webhookQueue, (message) => this.#handle(message), {
      concurrency: CONCURRENCY,
    });
    const clean = (): void => {
      database
        .transaction((tx) => tx.webhooks.removeDeliveries(KEEP_DELIVERIES_MS))
        .catch((error: unknown) => logger.error({ err: error }, 'old deliveries could not be removed'));
    };
    this.#cleaning = setInterval(clean, CLEAN_EVERY_MS).unref();
  }

  /** What is under way is broken off, and due again when somebody takes messages. */
  async close(): Promise<void> {
    clearInterval(this.#cleaning);
    this.#closing.abort();
    await this.#subscription?.close();
  }

  /** A message that comes twice, or late, finds its attempt made. */
  async #handle({ deliveryId, attempt }: WebhookMessage): Promise<void> {
    const delivery = await this.#deps.database.read((db) => db.webhooks.findDelivery(deliveryId));
    if (delivery === null || delivery.state !== 'pending' || delivery.attempts !== attempt - 1) return;
    const { webhook } = delivery;
    // Switched off since; a ping tries whether to switch it on.
    if (!webhook.active && delivery.jobId !== null) {
      await this.#deps.database.transaction((tx) => tx.webhooks.failPending(webhook.id, 'the webhook is not active'));
      return;
    }
    const began = performance.now();
    const attemptedAt = new Date();
    const outcome = await postMessage(
      { id: delivery.id, url: webhook.url, secret: webhook.secret, body: JSON.stringify(delivery.payload) },
      { ...this.#options, signal: this.#closing.signal },
    );
    await this.#record(delivery, outcome, { attempt, attemptedAt, durationMs: Math.round(performance.now() - began) });
  }

  async #record(
    { id, webhook, jobId }: DeliveryWithWebhook,
    outcome: PostOutcome,
    { attempt, ...times }: { attempt: number; attemptedAt: Date; durationMs: number },
  ): Promise<void> {
    const { attempts, offAfterMs, retryMs } = this.#options;
    const taken = outcome.error === null;
    const failingSince = taken ? null : (webhook.failingSince ?? times.attemptedAt);
    const off =
      !taken &&
      webhook.active &&
      (outcome.status === GONE || times.attemptedAt.getTime() - failingSince!.getTime() >= offAfterMs);
    const delayMs = taken || off || attempt >= attempts ? undefined : delayAfter(attempt, retryMs);
    await this.#deps.database.transaction(async (tx) => {
      // The webhook may be gone.
      if ((await tx.webhooks.find(webhook.id)) === null) return;
      await tx.webhooks.recordAttempt(id, {
        ...outcome,
        ...times,
        attempts: attempt,
        state: taken ? 'delivered' : delayMs === undefined ? 'failed' : 'pending',
        nextAttemptAt: delayMs === undefined ? null : new Date(Date.now() + delayMs),
      });
      if (delayMs !== undefined) await wakeForDelivery(tx, { deliveryId: id, attempt: attempt + 1 }, { delayMs });
      if (webhook.failingSince?.getTime() !== failingSince?.getTime())
        await tx.webhooks.update(webhook.id, { failingSince });
      if (!off) return;
      const why =
        outcome.status === GONE ? 'its receiver answered 410' : `it has failed since ${failingSince!.toISOString()}`;
      const reason = `switched off: ${why} (${outcome.error})`;
      await tx.webhooks.update(webhook.id, { active: false, reason });
      await tx.webhooks.failPending(webhook.id, reason);
      const job = jobId === null ? null : await tx.jobs.lock(jobId);
      const data = { message: `Webhook ${webhook.id} was ${reason}` };
      if (job !== null) await tx.events.append({ jobId: job.id, type: 'warning', epoch: job.epoch, data });
      this.#deps.logger.warn({ webhook: webhook.id, reason }, 'a webhook was switched off');
    });
  }
}

/** With a fifth of it more or less, so that what failed together does not come together again. */
function delayAfter(attempt: number, firstMs: number): number {
  return Math.min(MAX_RETRY_MS, firstMs * 4 ** (attempt - 1)) * (0.8 + 0.4 * Math.random());
}
