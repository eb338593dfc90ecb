import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { Client } from '@clipyard/client';
import type { JobEvent } from '@clipyard/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './test-server.js';

/** The client against the server itself, where it ends, begins anew and drops connections. */

let server: TestServer;
let client: Client;

beforeAll(async () => {
  server = await startTestServer();
  client = new Client({}, { url: server.url, retryDelayMs: 50 });
});
afterAll(() => server.close());

const spec = {
  version: 1,
  name: 'a',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 8 },
  duration: { steps: 2 },
};

it('follows the events of a job over a restart of the server, each once', async () => {
  const job = await client.submit(spec);
  const seen: JobEvent[] = [];
  const done = (async () => {
    for await (const event of client.events(job.id)) seen.push(event);
  })();
  for (let priority = 1; priority <= 3; priority++) {
    await client.edit(job.id, { priority });
    await expect.poll(() => seen.length).toBe(1 + priority);
    if (priority < 3) await server.restart();
  }
  await client.cancel(job.id);
  await done;
  expect(seen.map(({ type }) => type)).toEqual(['job.state', ...Array(3).fill('job.edited'), 'job.state']);
  expect(new Set(seen.map(({ id }) => id)).size).toBe(5);
});

/** Passes connections on, and breaks each after so many bytes of answers. */
async function brokenAfter(bytes: number): Promise<{ url: string; connections: () => number; close: () => void }> {
  const { connect } = await import('node:net');
  const target = new URL(server.url);
  const sockets = new Set<Socket>();
  let connections = 0;
  const proxy = createServer((near) => {
    connections += 1;
    const far = connect(Number(target.port), target.hostname);
    let left = bytes;
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).once('close', () => [near, far].forEach((one) => one.destroy()));
    }
    near.pipe(far);
    far.on('data', (chunk: Buffer) => {
      near.write(chunk.subarray(0, left));
      left -= chunk.length;
      if (left <= 0) near.end(() => near.destroy());
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as { port: number };
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  };
  return { url: `http://127.0.0.1:${port}`, connections: () => connections, close };
}

it('goes on with a download where the connection broke, and ends up with the same bytes', async () => {
  const { id } = await server.submit();
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 256));
  const files = [{ name: 'model.safetensors', bytes: content.length, sha256: 'abc' }];
  const record = {
    step: 1,
    position: 1,
    prefix: `runs/${id}/step-1`,
    bytes: 300_100,
    manifestSha256: 'cd',
    worldSize: 1,
  };
  await server.database.transaction((tx) =>
    tx.checkpoints.record('ckpt-big', id, 1, { ...record, metrics: {}, files }),
  );
  await server.store.put(`runs/${id}/step-1/model.safetensors`, content);
  const proxy = await brokenAfter(100_000);
  try {
    const through = new Client({}, { url: proxy.url, retryDelayMs: 10 });
    const chunks: Uint8Array[] = [];
    for await (const chunk of through.checkpointFile('ckpt-big', 'model.safetensors')) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
    expect(proxy.connections()).toBeGreaterThanOrEqual(4);
  } finally {
    proxy.close();
  }
});

it('repeats what may be repeated when the connection breaks before the answer, and submits once', async () => {
  const proxy = await brokenAfter(50);
  try {
    const through = new Client({}, { url: proxy.url, retryDelayMs: 10, attempts: 3 });
    await expect(through.submit({ ...spec, name: 'once' })).rejects.toMatchObject({ code: 'server_unreachable' });
    expect(proxy.connections()).toBe(3);
    expect((await client.list({ text: 'once' })).items).toHaveLength(1);
    const [job] = (await client.list({ text: 'once' })).items;
    await expect(through.cancel(job!.id)).rejects.toMatchObject({ code: 'server_unreachable' });
    expect(proxy.connections()).toBe(4);
  } finally {
    proxy.close();
  }
});
