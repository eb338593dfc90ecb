import type { Delivery, NewWebhookInput, WEBHOOK_EVENTS, Webhook } from '@clipyard/contracts';
import { keyAndValue } from '../arguments.js';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatAge } from '../output/format.js';
import { formatTable } from '../output/table.js';

type EventType = (typeof WEBHOOK_EVENTS)[number];

export async function createWebhook(
  context: Context,
  url: string,
  options: ServerOptions & { event: readonly string[]; label: readonly string[]; project?: string },
): Promise<number> {
  const { terminal, signal } = context;
  const { event, label, project } = options;
  const webhook: NewWebhookInput = {
    url,
    labels: Object.fromEntries(label.map(keyAndValue)),
    ...(event.length === 0 ? {} : { events: event as EventType[] }),
    ...(project === undefined ? {} : { project }),
  };
  const made = await (await clientOf(context, options)).webhooks.create(webhook, { signal });
  if (options.json === true) terminal.out(JSON.stringify(made));
  else {
    terminal.out(`${made.id} is told of ${made.events.join(', ')}`);
    terminal.out(`secret, shown this once: ${made.secret}`);
  }
  return EXIT.ok;
}

export async function listWebhooks(context: Context, options: ServerOptions): Promise<number> {
  const { terminal, signal } = context;
  const page = await (await clientOf(context, options)).webhooks.list({ limit: 500 }, { signal });
  if (options.json === true) terminal.out(JSON.stringify(page));
  else if (page.items.length === 0) terminal.out('no webhooks');
  else {
    const rows = page.items.map((hook) => [
      hook.id,
      stateOf(hook),
      hook.events.join(' '),
      hook.project ?? 'all',
      hook.url,
    ]);
    for (const line of formatTable(['WEBHOOK', 'STATE', 'EVENTS', 'PROJECT', 'URL'], rows)) terminal.out(line);
  }
  return EXIT.ok;
}

function stateOf({ active, failingSince }: Webhook): string {
  if (!active) return 'off';
  return failingSince === null ? 'on' : `fails for ${formatAge(failingSince)}`;
}

export async function setActive(
  active: boolean,
  context: Context,
  webhookId: string,
  options: ServerOptions,
): Promise<number> {
  const hook = await (await clientOf(context, options)).webhooks.edit(
    webhookId,
    { active },
    { signal: context.signal },
  );
  context.terminal.out(options.json === true ? JSON.stringify(hook) : `${hook.id} ${stateOf(hook)}`);
  return EXIT.ok;
}

export async function removeWebhook(context: Context, webhookId: string, options: ServerOptions): Promise<number> {
  await (await clientOf(context, options)).webhooks.delete(webhookId, { signal: context.signal });
  context.terminal.out(
    options.json === true ? JSON.stringify({ id: webhookId, removed: true }) : `${webhookId} removed`,
  );
  return EXIT.ok;
}

export async function pingWebhook(context: Context, webhookId: string, options: ServerOptions): Promise<number> {
  const delivery = await (await clientOf(context, options)).webhooks.ping(webhookId, { signal: context.signal });
  context.terminal.out(
    options.json === true
      ? JSON.stringify(delivery)
      : `${delivery.id} is sent; clipyard webhook deliveries ${webhookId}`,
  );
  return EXIT.ok;
}

export async function redeliver(
  context: Context,
  webhookId: string,
  deliveryId: string,
  options: ServerOptions,
): Promise<number> {
  const client = await clientOf(context, options);
  const delivery = await client.webhooks.redeliver(webhookId, deliveryId, { signal: context.signal });
  context.terminal.out(options.json === true ? JSON.stringify(delivery) : `${delivery.id} ${delivery.state}`);
  return EXIT.ok;
}

export async function listDeliveries(
  context: Context,
  webhookId: string,
  options: ServerOptions & { limit: number },
): Promise<number> {
  const { terminal, signal } = context;
  const client = await clientOf(context, options);
  const page = await client.webhooks.deliveries(webhookId, { limit: options.limit }, { signal });
  if (options.json === true) terminal.out(JSON.stringify(page));
  else if (page.items.length === 0) terminal.out('nothing was sent');
  else for (const line of formatTable(HEADING, page.items.map(row))) terminal.out(line);
  return EXIT.ok;
}

const HEADING = ['DELIVERY', 'EVENT', 'JOB', 'STATE', 'ATTEMPTS', 'AGE', 'ANSWER'];

function row({ id, type, jobId, state, attempts, createdAt, status, error }: Delivery): string[] {
  return [id, type, jobId ?? '-', state, String(attempts), formatAge(createdAt), error ?? String(status ?? '-')];
}
