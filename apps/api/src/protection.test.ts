import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { ClipyardError, LIMITS } from '@clipyard/contracts';
import { type Authenticator, type Caller, type ControlPlane, LOCAL } from '@clipyard/control';
import { createLogger, Lifecycle } from '@clipyard/runtime';
import type { FastifyInstance } from 'fastify';
import { afterAll, describe, expect, it } from 'vitest';
import { Admission } from './admission.js';
import { buildServer, listen, type ServerOptions } from './server.js';
import { localAdmission } from './test-admission.js';
import { FIRST, SECOND } from './test-certificates.js';

const lifecycle = new Lifecycle();
afterAll(() => lifecycle.close());

const control = { as: () => control, listNodes: async () => [] } as unknown as ControlPlane;
/** A token is valid when it says whose it is. */
const authenticator: Authenticator = {
  hasAdmin: async () => true,
  async authenticate(token): Promise<Caller> {
    if (!token.startsWith('of-')) throw new ClipyardError('token_invalid', 'no such token');
    return { ...LOCAL, name: token, tokenId: token };
  },
};

function build(options: ServerOptions, admission = localAdmission): FastifyInstance {
  const logger = createLogger({ name: 'api', level: 'error' });
  const server = buildServer({ control, admission, checkModel: () => {}, logger, newRequestId: () => 'r' }, options);
  lifecycle.add('API', () => server.close());
  return server;
}

describe('rate limits', () => {
  const server = build({ rateLimit: 3 }, new Admission({ authenticator }, { requireToken: true, corsOrigins: [] }));
  const nodes = (token: string, remoteAddress = '10.0.0.1') =>
    server.inject({ url: '/v1/nodes', headers: { authorization: `Bearer ${token}` }, remoteAddress });

  it('count the requests of each token', async () => {
    for (let i = 0; i < 3; i++) expect((await nodes('of-ann')).statusCode).toBe(200);
    const refused = await nodes('of-ann', '10.0.0.2');
    expect([refused.statusCode, refused.json().code]).toEqual([429, 'rate_limited']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await nodes('of-bob')).statusCode).toBe(200);
    expect((await server.inject('/healthz')).statusCode).toBe(200);
  });

  it('count the wrong tokens of each address', async () => {
    for (let i = 0; i < LIMITS.refusedTokensPerMinute; i++) expect((await nodes('x', '10.0.0.3')).statusCode).toBe(401);
    expect((await nodes('x', '10.0.0.3')).statusCode).toBe(429);
    expect((await nodes('x', '10.0.0.4')).statusCode).toBe(401);
    expect((await nodes('of-eve', '10.0.0.3')).statusCode).toBe(200);
  });

  it('do not count whoever is on the machine', async () => {
    const local = build({ rateLimit: 1 });
    for (let i = 0; i < 5; i++) expect((await local.inject('/v1/nodes')).statusCode).toBe(200);
  });
});

describe('headers', () => {
  it('keep browsers from loading, framing and guessing', async () => {
    const { headers } = await build({}).inject('/v1/nodes');
    expect(headers).toMatchObject({
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
    });
    expect(headers).not.toHaveProperty('strict-transport-security');
    expect(headers).not.toHaveProperty('access-control-allow-origin');
    const docs = await build({}).inject('/docs/static/index.html');
    expect(docs.headers['content-security-policy']).toContain("default-src 'self'");
  });

  it('let pages of other origins ask only when they are named', async () => {
    const admission = new Admission({ authenticator }, { requireToken: true, corsOrigins: ['https://a.example'] });
    const server = build({}, admission);
    const preflight = (origin: string) =>
      server.inject({
        method: 'OPTIONS',
        url: '/v1/jobs',
        headers: { origin, 'access-control-request-method': 'PATCH' },
      });
    expect((await preflight('https://a.example')).headers).toMatchObject({
      'access-control-allow-origin': 'https://a.example',
      'access-control-allow-methods': expect.stringContaining('PATCH'),
    });
    expect((await preflight('https://b.example')).headers).not.toHaveProperty('access-control-allow-origin');
  });
});

describe('proxies', () => {
  const ask = (server: FastifyInstance, remoteAddress: string) =>
    server.inject({
      method: 'DELETE',
      url: '/v1/session',
      remoteAddress,
      headers: { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' },
    });

  it('are believed only when they are trusted', async () => {
    const server = build({ trustedProxies: ['10.0.0.0/8'] });
    expect((await ask(server, '10.1.2.3')).headers['set-cookie']).toContain('; Secure');
    expect((await ask(server, '192.0.2.1')).headers['set-cookie']).not.toContain('Secure');
  });
});

describe('TLS', () => {
  it('serves with a certificate, takes up its renewal, and keeps the old one while the two files do not fit', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'clipyard-tls-'));
    lifecycle.add('folder', () => rm(folder, { recursive: true }));
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    await writeFile(certFile, FIRST.cert);
    await writeFile(keyFile, FIRST.key);
    const url = await listen(build({ tls: { certFile, keyFile, pollMs: 50 } }), { host: '127.0.0.1', port: 0 });
    expect(url).toMatch(/^https:/);
    expect(await subjectOf(url)).toBe('first');
    await writeFile(certFile, SECOND.cert);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await subjectOf(url)).toBe('first');
    await writeFile(keyFile, SECOND.key);
    await expect.poll(() => subjectOf(url), { timeout: 5000 }).toBe('second');
    const plain = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('latin1');
    plain.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    let answer = '';
    plain.on('data', (text) => (answer += text)).on('error', () => undefined);
    await once(plain, 'close');
    expect(answer).not.toContain('200 OK');
  });

  it('is refused with files that are not there', () => {
    expect(() => build({ tls: { certFile: '/none/cert.pem', keyFile: '/none/key.pem' } })).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        fields: [expect.objectContaining({ path: 'CLIPYARD_TLS_CERT' })],
      }),
    );
  });
});

/** Common name of the certificate that a server shows. */
function subjectOf(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/healthz`, { rejectUnauthorized: false, agent: false }, (response) => {
      const socket = response.socket as TLSSocket;
      resolve(String(socket.getPeerCertificate().subject.CN));
      response.resume();
    });
    asked.on('error', reject).end();
  });
}
