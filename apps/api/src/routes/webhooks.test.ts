import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CreatedWebhook, Delivery, Problem, Webhook } from '@clipyard/contracts';
import { WebhookSender, type WebhookSenderOptions } from '@clipyard/control';
import { createLogger } from '@clipyard/runtime';
import { Webhook as Verifier } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../test-server.js';

const WAIT = { timeout: 20_000, interval: 25 };
const logger = createLogger({ name: 'webhooks', destination: { write: () => {} } });
let server: TestServer;
let sender: WebhookSender | undefined;

beforeAll(async () => {
  server = await startTestServer({ allowPrivateWebhooks: true });
});
afterAll(async () => {
  await server.close();
  expect(server.undocumented, 'answers that the OpenAPI document does not describe').toEqual([]);
});

interface Arrived {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Somebody who is told of events. */
class Receiver {
  readonly arrived: Arrived[] = [];
  answer: (response: ServerResponse, count: number) => void = (response) => void response.writeHead(204).end();
  readonly #server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    this.arrived.push({ headers: request.headers, body });
    this.answer(response, this.arrived.length);
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

let receiver: Receiver;
let url: string;
beforeEach(async () => {
  receiver = new Receiver();
  url = await receiver.listen();
});
afterEach(async () => {
  await sender?.close();
  sender = undefined;
  receiver.close();
  for (const { id } of (await json<{ items: Webhook[] }>('GET', '/v1/webhooks')).items)
    await server.send('DELETE', `/v1/webhooks/${id}`);
});

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await (await server.send(method, path, body)).json()) as T;
}

async function send(options: Partial<WebhookSenderOptions> = {}): Promise<void> {
  const { database, bus } = server;
  sender = new WebhookSender(
    { database, bus, logger },
    { allowPrivate: true, retryMs: 20, timeoutMs: 2000, ...options },
  );
  await sender.start();
  // What a scheduler does besides.
  await relay();
}

/** Hands what is in the outbox to the queue, as the relay does, until the test ends. */
let relaying: NodeJS.Timeout | undefined;
async function relay(): Promise<void> {
  clearInterval(relaying);
  const once = () =>
    server.database
      .transaction(async (tx) => {
        const rows = await tx.outbox.lockUnsent(100);
        for (const { queue, key, payload, delayMs } of rows)
          if (queue === 'webhooks') await server.bus.publish({ name: queue }, key, payload, { delayMs });
        await tx.outbox.markSent(rows.map(({ id }) => id));
      })
      .catch(() => {});
  relaying = setInterval(once, 30);
}
afterAll(() => clearInterval(relaying));

const create = (changes: object = {}): Promise<CreatedWebhook> => json('POST', '/v1/webhooks', { url, ...changes });
const deliveries = async ({ id }: Webhook): Promise<Delivery[]> =>
  (await json<{ items: Delivery[] }>('GET', `/v1/webhooks/${id}/deliveries`)).items;

describe('webhooks', () => {
  it('are made, listed, changed and removed; the secret is told once', async () => {
    const made = await create({ labels: { team: 'a' } });
    expect(made).toMatchObject({ url, events: ['job.state'], labels: { team: 'a' }, active: true, failingSince: null });
    expect(made.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const { secret, ...told } = made;
    expect(await json('GET', `/v1/webhooks/${made.id}`)).toEqual(told);
    expect((await json<{ items: Webhook[] }>('GET', '/v1/webhooks')).items).toEqual([told]);
    const events = ['checkpoint', 'warning'];
    expect(await json('PATCH', `/v1/webhooks/${made.id}`, { events, active: false })).toMatchObject({
      events,
      active: false,
    });
    expect((await server.send('DELETE', `/v1/webhooks/${made.id}`)).status).toBe(204);
    expect(await json<Problem>('GET', `/v1/webhooks/${made.id}`)).toMatchObject({ code: 'webhook_not_found' });
  });

  it.each([
    ['url', { url: 'ftp://example.org' }],
    ['url', { url: 'http://user:word@example.org' }],
    ['events[0]', { events: ['metrics'] }],
    ['secret', { secret: 'short' }],
    ['labels.a', { labels: { a: 1 } }],
  ])('names %s when it is wrong', async (path, body) => {
    expect(await json<Problem>('POST', '/v1/webhooks', { url, ...body })).toMatchObject({
      status: 400,
      errors: [{ path }],
    });
  });
});

describe('messages', () => {
  it('are tried again until they are taken, each signed so that standardwebhooks verifies it', async () => {
    const hook = await create({ labels: { team: 'vision' } });
    receiver.answer = (response, count) => void response.writeHead(count < 3 ? 500 : 200).end('noted');
    await send();
    await server.submit({ name: 'other' });
    const job = await server.submit({ name: 'told', labels: { team: 'vision' } });
    await expect.poll(async () => (await deliveries(hook)).map(({ state }) => state), WAIT).toEqual(['delivered']);
    const [delivery] = await deliveries(hook);
    expect(delivery).toMatchObject({
      type: 'job.state',
      jobId: job.id,
      attempts: 3,
      status: 200,
      error: null,
      response: 'noted',
    });
    expect(receiver.arrived).toHaveLength(3);
    const verifier = new Verifier(hook.secret);
    for (const { headers, body } of receiver.arrived) {
      expect(headers['webhook-id']).toBe(delivery!.id);
      const payload = verifier.verify(body, headers as Record<string, string>);
      expect(payload).toMatchObject({
        type: 'job.state',
        data: { job: { id: job.id, name: 'told', state: 'queued' }, event: { from: null, to: 'queued' } },
      });
      const tampered = body.replace('told', 'tald');
      expect(() => verifier.verify(tampered, headers as Record<string, string>)).toThrow();
    }
  });

  it('are given up after so many attempts, and sent again when asked', async () => {
    const hook = await create();
    receiver.answer = (response) => void response.writeHead(302, { location: url }).end();
    await send({ attempts: 2 });
    await server.submit();
    const first = async () => (await deliveries(hook))[0];
    await expect.poll(first, WAIT).toMatchObject({ state: 'failed', attempts: 2, status: 302, error: 'answered 302' });
    // Where it was redirected to was not asked.
    expect(receiver.arrived).toHaveLength(2);
    expect((await json<Webhook>('GET', `/v1/webhooks/${hook.id}`)).failingSince).not.toBeNull();
    receiver.answer = (response) => void response.writeHead(200).end();
    const { id } = (await first())!;
    await json('POST', `/v1/webhooks/${hook.id}/deliveries/${id}/redeliver`);
    await expect.poll(first, WAIT).toMatchObject({ id, state: 'delivered', attempts: 1 });
    expect((await json<Webhook>('GET', `/v1/webhooks/${hook.id}`)).failingSince).toBeNull();
    expect(new Set(receiver.arrived.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    const none = await json<Problem>('POST', `/v1/webhooks/${hook.id}/deliveries/dlv-none/redeliver`);
    expect(none).toMatchObject({ code: 'not_found' });
  });

  it('end a webhook that has failed for too long, with a warning, until it is switched on', async () => {
    const hook = await create();
    receiver.answer = (response) => void response.writeHead(410).end();
    await send();
    const job = await server.submit();
    const now = () => json<Webhook>('GET', `/v1/webhooks/${hook.id}`);
    await expect.poll(now, WAIT).toMatchObject({ active: false, reason: expect.stringContaining('answered 410') });
    const warnings = await server.database.read((db) => db.events.newest(job.id, 'warning', 1));
    expect(warnings[0]!.data).toMatchObject({
      message: expect.stringContaining(`Webhook ${hook.id} was switched off`),
    });
    await server.submit();
    expect(await deliveries(hook)).toHaveLength(1);
    // Whether it works again is tried before it is switched on.
    receiver.answer = (response) => void response.writeHead(200).end();
    await json('POST', `/v1/webhooks/${hook.id}/ping`);
    await expect
      .poll(async () => (await deliveries(hook))[0], WAIT)
      .toMatchObject({ type: 'webhook.ping', state: 'delivered' });
    expect(await json('PATCH', `/v1/webhooks/${hook.id}`, { active: true })).toMatchObject({
      active: true,
      reason: null,
    });
  });

  it('wait no longer than the limit, and keep little of a long answer', async () => {
    const hook = await create();
    await send({ attempts: 1, timeoutMs: 200 });
    receiver.answer = () => {};
    await json('POST', `/v1/webhooks/${hook.id}/ping`);
    const newest = async () => (await deliveries(hook))[0];
    await expect.poll(newest, WAIT).toMatchObject({ state: 'failed', status: null, error: 'no answer within 200 ms' });
    receiver.answer = (response) => {
      response.writeHead(200);
      const write = (): boolean => response.destroyed || response.write('x'.repeat(65_536), write as never);
      write();
    };
    await json('POST', `/v1/webhooks/${hook.id}/ping`);
    await expect.poll(newest, WAIT).toMatchObject({ state: 'delivered', response: 'x'.repeat(1024) });
  });
});

describe('without CLIPYARD_WEBHOOK_ALLOW_PRIVATE', () => {
  it('nothing is sent to private addresses, whatever name they hide behind', async () => {
    const guarded = { allowPrivate: false, attempts: 1 };
    const byName = url.replace('http:', 'https:').replace('127.0.0.1', 'localhost');
    const hooks = [
      await create(),
      await create({ url: url.replace('http:', 'https:') }),
      await create({ url: byName }),
    ];
    await send(guarded);
    for (const { id } of hooks) await json('POST', `/v1/webhooks/${id}/ping`);
    const errors = () => Promise.all(hooks.map(async (hook) => (await deliveries(hook))[0]?.error));
    await expect
      .poll(errors, WAIT)
      .toEqual([
        expect.stringContaining('does not begin with https://'),
        expect.stringContaining('is a private address'),
        expect.stringMatching(/localhost leads to the private address (127\.0\.0\.1|::1)/),
      ]);
    expect(receiver.arrived).toEqual([]);
  });
});
