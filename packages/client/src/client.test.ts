import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ClipyardError, fieldError, type Job, parseRunSpec, toProblem } from '@clipyard/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { Client, type ClientOptions } from './client.js';

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
});

async function serve(handle: Handler, options: Partial<ClientOptions> = {}): Promise<Client> {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => handle(request, response, body));
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return new Client({}, { url: `http://127.0.0.1:${port}`, retryDelayMs: 5, ...options });
}

const spec = {
  version: 1,
  name: 'a',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 8 },
  duration: { steps: 2 },
};

const job: Job = {
  id: 'job-1',
  name: 'a',
  project: 'default',
  state: 'queued',
  reason: null,
  labels: {},
  priority: 50,
  spec: parseRunSpec(spec),
  epoch: 0,
  worldSize: null,
  step: 0,
  totalSteps: null,
  pauseStep: null,
  latest: {},
  alarms: [],
  restarts: { infrastructure: 0, user: 0 },
  error: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  startedAt: null,
  finishedAt: null,
};

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function sse(response: ServerResponse, ids: readonly number[]): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const id of ids) {
    const event = { id: String(id), jobId: 'job-1', type: 'metrics', at: job.createdAt, epoch: 1, data: { step: id } };
    response.write(`id: ${id}\nevent: metrics\ndata: ${JSON.stringify(event)}\n\n`);
  }
}

describe('requests', () => {
  it('submits a spec with an idempotency key and keeps the key over retries', async () => {
    const seen: { key: unknown; body: string }[] = [];
    const client = await serve((request, response, body) => {
      seen.push({ key: request.headers['idempotency-key'], body });
      if (seen.length === 1) request.socket.destroy();
      else if (seen.length === 2) json(response, 503, {}, { 'retry-after': '0' });
      else json(response, 201, job);
    });
    expect(await client.submit(spec)).toEqual(job);
    expect(seen).toHaveLength(3);
    expect(new Set(seen.map((s) => s.key)).size).toBe(1);
    expect(seen[0]!.key).toMatch(/^[0-9a-f]{32}$/);
    expect(JSON.parse(seen[2]!.body)).toEqual(spec);
  });

  it('sends queries and reads pages', async () => {
    let url = '';
    const client = await serve((request, response) => {
      url = request.url!;
      json(response, 200, { items: [job], nextCursor: 'next' });
    });
    const page = await client.list({ state: 'queued', label: 'team=vision', limit: 3 });
    expect(url).toBe('/v1/jobs?state=queued&label=team%3Dvision&limit=3');
    expect(page).toEqual({ items: [job], nextCursor: 'next' });
  });

  it('turns problem+json into the coded error with its fields, without a retry', async () => {
    let calls = 0;
    const problem = { path: 'batch.global', message: 'is odd', value: 7, remedy: 'Use 8.' };
    const client = await serve((_request, response) => {
      calls++;
      json(response, 422, toProblem(fieldError('batch_not_divisible', problem), 'req-1'), {
        'content-type': 'application/problem+json',
      });
    });
    const error = await client.submit(spec).catch((e: ClipyardError) => e);
    expect(error).toMatchObject({
      code: 'batch_not_divisible',
      fields: [problem],
      message: expect.stringContaining('Use 8.'),
    });
    expect(calls).toBe(1);
  });

  it('gives the health of a server that is not ready', async () => {
    const health = { status: 'unavailable', checks: { database: 'no answer' } };
    const client = await serve((_request, response) => json(response, 503, health));
    expect(await client.health()).toEqual(health);
  });

  it('does not repeat a cancel', async () => {
    let calls = 0;
    const client = await serve((_request, response) => {
      calls++;
      json(response, 503, {});
    });
    await expect(client.cancel('job-1')).rejects.toMatchObject({ code: 'server_unreachable' });
    expect(calls).toBe(1);
  });

  it('says that the server is unreachable, with its URL and a remedy', async () => {
    const client = await serve(() => {});
    server!.closeAllConnections();
    await new Promise((resolve) => server!.close(resolve));
    server = undefined;
    await expect(client.nodes()).rejects.toMatchObject({
      code: 'server_unreachable',
      fields: [
        {
          path: 'CLIPYARD_URL',
          value: client.url,
          message: expect.stringContaining('ECONNREFUSED'),
          remedy: expect.stringContaining('npm start'),
        },
      ],
    });
  });

  it('gives up on a server that does not answer in time', async () => {
    const client = await serve(() => {}, { timeoutMs: 50, attempts: 2 });
    await expect(client.get('job-1')).rejects.toMatchObject({
      code: 'server_unreachable',
      message: expect.stringContaining('in time'),
    });
  });

  it('refuses what is not a Clipyard answer', async () => {
    const client = await serve((_request, response) => json(response, 200, { hello: 'world' }));
    await expect(client.get('job-1')).rejects.toMatchObject({ code: 'server_unreachable' });
    await expect(client.nodes()).rejects.toMatchObject({ code: 'server_unreachable' });
  });

  it('stops at once when its signal aborts', async () => {
    const client = await serve(() => {});
    const reason = new Error('enough');
    await expect(client.get('job-1', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 20);
    await expect(client.get('job-1', { signal: controller.signal })).rejects.toBe(reason);
  });
});

describe('events', () => {
  it('reconnects with Last-Event-ID and gives each event once, in order, until the end', async () => {
    const resumedFrom: unknown[] = [];
    const client = await serve((request, response) => {
      resumedFrom.push(request.headers['last-event-id']);
      if (resumedFrom.length === 1) {
        sse(response, [1, 2]);
        setTimeout(() => request.socket.destroy(), 20);
      } else if (resumedFrom.length === 2) {
        json(response, 503, {});
      } else if (resumedFrom.length === 3) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(': heartbeat\n\n');
        sse(response, [3]);
        response.end();
      } else {
        sse(response, [4]);
        response.end('event: end\ndata: {}\n\n');
      }
    });
    const ids: string[] = [];
    for await (const event of client.events('job-1')) ids.push(event.id);
    expect(ids).toEqual(['1', '2', '3', '4']);
    expect(resumedFrom).toEqual([undefined, '2', '2', '3']);
  });

  it('ends on 204: the job has ended and nothing follows', async () => {
    const client = await serve((_request, response) => response.writeHead(204).end());
    for await (const event of client.events('job-1', { after: '9' })) expect.unreachable(event.id);
  });

  it('throws what the server refuses, without reconnecting', async () => {
    let calls = 0;
    const client = await serve((_request, response) => {
      calls++;
      json(
        response,
        404,
        toProblem(fieldError('job_not_found', { path: 'id', message: 'no such job', value: 'job-1' }), 'r'),
      );
    });
    await expect(client.events('job-1').next()).rejects.toMatchObject({ code: 'job_not_found' });
    expect(calls).toBe(1);
  });

  it('gives up after the time without contact', async () => {
    const client = await serve((_request, response) => json(response, 503, {}), { streamGiveUpMs: 100 });
    await expect(client.events('job-1').next()).rejects.toMatchObject({ code: 'server_unreachable' });
  });

  it('ends when its signal aborts, in mid-stream', async () => {
    const client = await serve((_request, response) => sse(response, [1]));
    const controller = new AbortController();
    const events = client.events('job-1', { signal: controller.signal });
    expect((await events.next()).value).toMatchObject({ id: '1' });
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 20);
    await expect(events.next()).rejects.toBe(reason);
  });
});
