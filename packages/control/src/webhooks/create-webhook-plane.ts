import { type Delivery, fieldError, WEBHOOK_PING, type Webhook } from '@clipyard/contracts';
import type { Database, DeliveryRow, Repositories, WebhookRow } from '@clipyard/db';
import { newId } from '@clipyard/runtime';
import type { Behalf } from '../access/behalf.js';
import { narrowed, projectFor, sees } from '../access/caller.js';
import { decodeTimeCursor, encodeTimeCursor } from '../cursor.js';
import { wakeForDelivery } from '../messages.js';
import { newWebhookSecret } from './post-message.js';
import { assertAllowedTarget } from './target.js';
import type { WebhookPlane } from './webhook-plane.js';

export interface WebhookOptions {
  /** Messages may go to private addresses, and without TLS. */
  readonly allowPrivate: boolean;
}

export function createWebhookPlane(
  { database }: { readonly database: Database },
  options: WebhookOptions,
  behalf: Behalf,
): WebhookPlane {
  const { caller } = behalf;

  async function found(db: Repositories, webhookId: string): Promise<WebhookRow> {
    const row = await db.webhooks.find(webhookId);
    if (row !== null && sees(caller, row.project)) return row;
    throw fieldError('webhook_not_found', {
      path: 'id',
      message: 'is not the id of a webhook',
      value: webhookId,
      remedy: 'List them with `clipyard webhook ls` or GET /v1/webhooks.',
    });
  }

  return {
    async create({ project: asked, secret = newWebhookSecret(), ...data }) {
      assertAllowedTarget(data.url, options);
      const project =
        caller.project === null && (asked === undefined || asked === null)
          ? null
          : projectFor(caller, asked ?? undefined);
      return await database.transaction(async (tx) => {
        const row = await tx.webhooks.create(newId('hook'), { ...data, secret, project });
        await behalf.record(tx, 'createWebhook', {
          target: row.id,
          project,
          details: { host: new URL(data.url).host },
        });
        return { ...webhookView(row), secret };
      });
    },

    async list({ project, cursor, limit }) {
      const within = narrowed(caller, project);
      if (within === undefined) return { items: [], nextCursor: null };
      const after = cursor === undefined ? {} : { after: decodeTimeCursor(cursor) };
      const rows = await database.read((db) => db.webhooks.list({ ...within, ...after, limit: limit + 1 }));
      const items = rows.slice(0, limit);
      return {
        items: items.map(webhookView),
        nextCursor: rows.length > limit ? encodeTimeCursor(items.at(-1)!) : null,
      };
    },

    get: (webhookId) => database.read(async (db) => webhookView(await found(db, webhookId))),

    async edit(webhookId, patch) {
      if (patch.url !== undefined) assertAllowedTarget(patch.url, options);
      return await database.transaction(async (tx) => {
        const row = await found(tx, webhookId);
        const again = patch.active === true ? { reason: null, failingSince: null } : {};
        const edited = await tx.webhooks.update(row.id, { ...patch, ...again });
        await behalf.record(tx, 'editWebhook', {
          target: row.id,
          project: row.project,
          details: { fields: Object.keys(patch) },
        });
        return webhookView(edited);
      });
    },

    delete: (webhookId) =>
      database.transaction(async (tx) => {
        const { id, project } = await found(tx, webhookId);
        await tx.webhooks.remove(id);
        await behalf.record(tx, 'deleteWebhook', { target: id, project });
      }),

    ping: (webhookId) =>
      database.transaction(async (tx) => {
        const { id: target, project } = await found(tx, webhookId);
        const id = newId('dlv');
        const payload = { type: WEBHOOK_PING, timestamp: new Date().toISOString(), data: { webhook: target } };
        const row = await tx.webhooks.createDelivery(id, target, WEBHOOK_PING, payload);
        await wakeForDelivery(tx, { deliveryId: id, attempt: 1 });
        await behalf.record(tx, 'pingWebhook', { target, project });
        return deliveryView(row);
      }),

    async deliveries(webhookId, { cursor, limit, ...filter }) {
      const after = cursor === undefined ? {} : { after: decodeTimeCursor(cursor) };
      return await database.read(async (db) => {
        const { id } = await found(db, webhookId);
        const rows = await db.webhooks.listDeliveries(id, { ...filter, ...after, limit: limit + 1 });
        const items = rows.slice(0, limit);
        return {
          items: items.map(deliveryView),
          nextCursor: rows.length > limit ? encodeTimeCursor(items.at(-1)!) : null,
        };
      });
    },

    redeliver: (webhookId, deliveryId) =>
      database.transaction(async (tx) => {
        const { id: target, project } = await found(tx, webhookId);
        const known = await tx.webhooks.findDelivery(deliveryId);
        if (known?.webhookId !== target) {
          throw fieldError('not_found', {
            path: 'delivery',
            message: 'is not a delivery of this webhook',
            value: deliveryId,
            remedy: 'List them with GET /v1/webhooks/:id/deliveries; they are kept for 30 days.',
          });
        }
        const row = await tx.webhooks.renewDelivery(deliveryId);
        await wakeForDelivery(tx, { deliveryId, attempt: 1 });
        await behalf.record(tx, 'redeliver', { target, project, details: { delivery: deliveryId } });
        return deliveryView(row);
      }),
  };
}

function webhookView({
  id,
  project,
  url,
  events,
  labels,
  active,
  reason,
  failingSince,
  createdAt,
}: WebhookRow): Webhook {
  return {
    id,
    project,
    url,
    events,
    labels: labels as Webhook['labels'],
    active,
    reason,
    failingSince: failingSince?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
  };
}

function deliveryView(row: DeliveryRow): Delivery {
  return {
    id: row.id,
    webhookId: row.webhookId,
    type: row.type,
    jobId: row.jobId,
    state: row.state as Delivery['state'],
    attempts: row.attempts,
    status: row.status,
    error: row.error,
    response: row.response,
    durationMs: row.durationMs,
    payload: row.payload as Delivery['payload'],
    createdAt: row.createdAt.toISOString(),
    attemptedAt: row.attemptedAt?.toISOString() ?? null,
    nextAttemptAt: row.nextAttemptAt?.toISOString() ?? null,
  };
}
