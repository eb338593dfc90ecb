import { type IncomingHttpHeaders, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { Job, Problem } from '@clipyard/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './test-server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server.close();
  expect(server.undocumented, 'answers that the OpenAPI document does not describe').toEqual([]);
});

interface Raw {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** As it comes over the wire: fetch unpacks. */
function raw(method: string, path: string, headers: Record<string, string> = {}): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const sent = request(server.url + path, { method, headers }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) });
    });
    sent.on('error', reject).end();
  });
}

describe('entity tags', () => {
  it.each(['/v1/jobs', '/v1/queue', '/v1/nodes', '/v1/openapi.json', '/v1/sweeps'])(
    '%s is 304 until it changes',
    async (path) => {
      const first = await raw('GET', path);
      const etag = first.headers.etag!;
      for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const again = await raw('GET', path, { 'if-none-match': known });
        expect([again.status, again.body.length, again.headers.etag], known).toEqual([304, 0, etag]);
      }
      expect((await raw('HEAD', path, { 'if-none-match': etag })).status).toBe(304);
      expect((await raw('GET', path, { 'if-none-match': '"other"' })).status).toBe(200);
    },
  );

  it('of a job change with it, and guard an edit against those of others, not against its training', async () => {
    const { id } = await server.submit();
    const path = `/v1/jobs/${id}`;
    const before = (await raw('GET', path)).headers.etag!;
    await server.database.transaction((tx) => tx.jobs.update(id, { step: 1, latest: { loss: 1 } }));
    expect((await raw('GET', path, { 'if-none-match': before })).status).toBe(200);
    const edited = await server.send('PATCH', path, { priority: 60 }, { 'if-match': before });
    expect(edited.status).toBe(200);
    const late = await server.send('PATCH', path, { priority: 70 }, { 'if-match': before });
    expect(late.status).toBe(412);
    expect((await late.json()) as Problem).toMatchObject({
      code: 'precondition_failed',
      errors: [{ path: 'If-Match' }],
    });
    expect(
      (await server.send('PATCH', path, { priority: 70 }, { 'if-match': edited.headers.get('etag')! })).status,
    ).toBe(200);
    expect((await server.send('PATCH', path, { priority: 71 }, { 'if-match': '*' })).status).toBe(200);
    expect(((await (await server.send('GET', path)).json()) as Job).priority).toBe(71);
  });
});

describe('compression', () => {
  it('packs what is large and asked for packed, and nothing else', async () => {
    for (let i = 0; i < 3; i++) await server.submit();
    const plain = await raw('GET', '/v1/jobs');
    expect(plain.headers['content-encoding']).toBeUndefined();
    const packed = await raw('GET', '/v1/jobs', { 'accept-encoding': 'gzip' });
    expect([packed.headers['content-encoding'], packed.headers.vary]).toEqual(['gzip', 'accept-encoding']);
    expect(packed.headers.etag).toBe(plain.headers.etag);
    expect(packed.body.length).toBeLessThan(plain.body.length / 4);
    expect(gunzipSync(packed.body)).toEqual(plain.body);
    for (const [coding, path] of [
      ['gzip', '/v1/nodes'],
      ['gzip', '/healthz'],
      ['x-none', '/v1/jobs'],
      ['identity', '/v1/jobs'],
    ] as const)
      expect((await raw('GET', path, { 'accept-encoding': coding })).headers['content-encoding'], path).toBeUndefined();
    expect((await raw('GET', '/v1/jobs', { 'accept-encoding': 'br' })).headers['content-encoding']).toBe('br');
  });

  it('leaves event streams alone', async () => {
    const { id } = await server.submit();
    await server.control.cancelJob(id);
    const events = await raw('GET', `/v1/jobs/${id}/events`, { 'accept-encoding': 'gzip' });
    expect(events.headers['content-encoding']).toBeUndefined();
    expect(events.body.toString()).toContain('event: job.state');
  });
});

describe('HEAD', () => {
  it('answers as GET does, without the body', async () => {
    const { id } = await server.submit();
    for (const path of ['/v1/jobs', `/v1/jobs/${id}`, '/v1/nodes', '/healthz']) {
      const [get, head] = [await raw('GET', path), await raw('HEAD', path)];
      expect([head.status, head.headers['content-type'], head.headers.etag], path).toEqual([
        200,
        get.headers['content-type'],
        get.headers.etag,
      ]);
      expect([head.headers['content-length'], head.body.length]).toEqual([get.headers['content-length'], 0]);
    }
    expect((await raw('HEAD', '/v1/jobs/job-none')).status).toBe(404);
  });
});

describe('a file of a checkpoint', () => {
  const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
  let path: string;

  beforeAll(async () => {
    const { id } = await server.submit();
    const files = [{ name: 'model.safetensors', bytes: content.length, sha256: 'abc' }];
    const record = {
      step: 3,
      position: 24,
      prefix: `runs/${id}/step-3`,
      bytes: 1100,
      manifestSha256: 'cd',
      worldSize: 1,
    };
    await server.database.transaction((tx) =>
      tx.checkpoints.record('ckpt-1', id, 1, { ...record, metrics: {}, files }),
    );
    await server.store.put(`runs/${id}/step-3/model.safetensors`, content);
    path = '/v1/checkpoints/ckpt-1/files/model.safetensors';
  });

  it.each([
    ['bytes=0-9', 0, 10],
    ['bytes=990-', 990, 1000],
    ['bytes=-5', 995, 1000],
    ['bytes=990-2000', 990, 1000],
  ])('is sent in part for %s', async (range, start, end) => {
    const part = await raw('GET', path, { range, 'accept-encoding': 'gzip' });
    expect(part.status).toBe(206);
    expect(part.headers).toMatchObject({
      'content-range': `bytes ${start}-${end - 1}/1000`,
      'content-length': String(end - start),
      etag: '"abc"',
    });
    expect(part.body).toEqual(content.subarray(start, end));
  });

  it('is sent whole for other units, several ranges, and for the range of another file', async () => {
    for (const headers of [
      { range: 'lines=1-2' },
      { range: 'bytes=0-1,5-6' },
      { range: 'bytes=0-1', 'if-range': '"x"' },
    ]) {
      const whole = await raw('GET', path, headers as Record<string, string>);
      expect([whole.status, whole.body.length], JSON.stringify(headers)).toEqual([200, 1000]);
    }
    expect((await raw('GET', path, { range: 'bytes=0-1', 'if-range': '"abc"' })).status).toBe(206);
  });

  it('has no bytes beyond its end, and tells its size to HEAD', async () => {
    const beyond = await raw('GET', path, { range: 'bytes=1000-' });
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */1000']);
    expect(JSON.parse(beyond.body.toString())).toMatchObject({
      code: 'range_not_satisfiable',
      errors: [{ path: 'Range' }],
    });
    const head = await raw('HEAD', path, { 'accept-encoding': 'gzip' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    expect(head.headers).toMatchObject({ 'content-length': '1000', 'accept-ranges': 'bytes', etag: '"abc"' });
    expect((await raw('HEAD', `${path}x`)).status).toBe(404);
  });
});
