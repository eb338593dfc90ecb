import { newWebhookSchema, OPERATIONS, webhookPatchSchema } from '@clipyard/contracts';
import type { FastifyInstance } from 'fastify';
import { parseBody } from '../request-input.js';
import { serve } from '../serve.js';

/** Webhooks and what was sent to them. */
export function webhookRoutes(server: FastifyInstance): void {
  serve(server, OPERATIONS.createWebhook, async ({ body, control, reply }) => {
    const made = await control.webhooks.create(parseBody(newWebhookSchema, body));
    return reply.code(201).header('location', `/v1/webhooks/${made.id}`).header('cache-control', 'no-store').send(made);
  });
  serve(server, OPERATIONS.listWebhooks, ({ control, query }) => control.webhooks.list(query));
  serve(server, OPERATIONS.getWebhook, ({ control, params }) => control.webhooks.get(params.id));
  serve(server, OPERATIONS.editWebhook, ({ body, control, params }) =>
    control.webhooks.edit(params.id, parseBody(webhookPatchSchema, body)),
  );
  serve(server, OPERATIONS.deleteWebhook, async ({ control, params, reply }) => {
    await control.webhooks.delete(params.id);
    return reply.code(204).send();
  });
  serve(server, OPERATIONS.pingWebhook, async ({ control, params, reply }) => {
    const { id } = params;
    const delivery = await control.webhooks.ping(id);
    return reply.code(201).header('location', `/v1/webhooks/${id}/deliveries`).send(delivery);
  });
  serve(server, OPERATIONS.listDeliveries, ({ control, params, query }) =>
    control.webhooks.deliveries(params.id, query),
  );
  serve(server, OPERATIONS.redeliver, ({ control, params }) => control.webhooks.redeliver(params.id, params.delivery));
}
