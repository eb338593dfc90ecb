import { z } from 'zod';
import { projectSchema } from './access.js';
import { EVENT_TYPES, pageQuerySchema } from './api.js';
import { labelKeySchema, labelValueSchema } from './run-spec/identity.js';

/** Telling others of events by HTTP, signed as Standard Webhooks (standardwebhooks.com) say. */

const time = z.iso.datetime();

/** What a webhook may ask for: all but what comes with every step or rank. */
export const WEBHOOK_EVENTS = EVENT_TYPES.filter(
  (type): type is Exclude<(typeof EVENT_TYPES)[number], 'metrics' | 'rank.state'> =>
    type !== 'metrics' && type !== 'rank.state',
);
/** The type of a message that only tries whether messages arrive. */
export const WEBHOOK_PING = 'webhook.ping';

const urlSchema = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).max(2048);
const eventsSchema = z.array(z.enum(WEBHOOK_EVENTS)).min(1).max(WEBHOOK_EVENTS.length);
const labelsSchema = z.record(labelKeySchema, labelValueSchema);
const secretSchema = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, 'must be `whsec_` and 24 to 64 bytes in base64');

export const webhookSchema = z.object({
  id: z.string(),
  /** Of whose jobs it is told; null: of all. */
  project: z.string().nullable(),
  url: z.string(),
  events: z.array(z.string()),
  /** That a job must have. */
  labels: z.record(z.string(), z.string()),
  active: z.boolean(),
  /** Why it is not active, for people. */
  reason: z.string().nullable(),
  /** Since when every attempt has failed; null: the last one has not. */
  failingSince: time.nullable(),
  createdAt: time,
});
export type Webhook = z.infer<typeof webhookSchema>;

/** A webhook as it is told once, to whoever made it. */
export const createdWebhookSchema = webhookSchema.extend({ secret: z.string() });
export type CreatedWebhook = z.infer<typeof createdWebhookSchema>;

export const newWebhookSchema = z.strictObject({
  url: urlSchema.describe('where messages are posted to'),
  events: eventsSchema.default(['job.state']).describe('types of events'),
  labels: labelsSchema.default({}).describe('that a job must have'),
  project: projectSchema.nullable().optional().describe("of whose jobs it is told; null: of all; default: the token's"),
  secret: secretSchema.optional().describe('key of the signatures; default: a new one'),
  active: z.boolean().default(true),
});
export type NewWebhook = z.infer<typeof newWebhookSchema>;
export type NewWebhookInput = z.input<typeof newWebhookSchema>;

export const webhookPatchSchema = z.strictObject({
  url: urlSchema.optional(),
  events: eventsSchema.optional(),
  labels: labelsSchema.optional().describe('in place of those it has'),
  secret: secretSchema.optional(),
  active: z.boolean().optional().describe('true forgets that it was failing'),
});
export type WebhookPatch = z.infer<typeof webhookPatchSchema>;

export const DELIVERY_STATES = ['pending', 'delivered', 'failed'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

export const deliverySchema = z.object({
  /** The `webhook-id` of the message: the same in every attempt. */
  id: z.string(),
  webhookId: z.string(),
  /** Of the event, or `webhook.ping`. */
  type: z.string(),
  jobId: z.string().nullable(),
  state: z.enum(DELIVERY_STATES),
  attempts: z.int(),
  /** Of the last attempt: HTTP status, what went wrong, the start of the answer, how long it took. */
  status: z.int().nullable(),
  error: z.string().nullable(),
  response: z.string().nullable(),
  durationMs: z.int().nullable(),
  /** What is sent. */
  payload: z.record(z.string(), z.unknown()),
  createdAt: time,
  attemptedAt: time.nullable(),
  /** null: none follows. */
  nextAttemptAt: time.nullable(),
});
export type Delivery = z.infer<typeof deliverySchema>;

export const webhookListQuerySchema = pageQuerySchema.extend({ project: projectSchema.optional() });
export const deliveryListQuerySchema = pageQuerySchema.extend({ state: z.enum(DELIVERY_STATES).optional() });
