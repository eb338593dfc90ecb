import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveDashboard } from './dashboard.js';
import { installProblems } from './problems.js';

const HTML = { accept: 'text/html,*/*;q=0.8' };
let root: string;
let server: FastifyInstance;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'clipyard-web-'));
  await mkdir(join(root, 'assets'));
  await writeFile(join(root, 'index.html'), '<title>page</title>');
  await writeFile(join(root, 'assets', 'main-1a2b.js'), 'plain');
  await writeFile(join(root, 'assets', 'main-1a2b.js.gz'), 'zipped');
  server = Fastify();
  server.get('/v1/things', async () => []);
  installProblems(server, serveDashboard(server, root));
});

afterAll(async () => {
  await server.close();
  await rm(root, { recursive: true });
});

test('pages are one file, with a policy that allows nothing from elsewhere and no inline script', async () => {
  for (const url of ['/', '/runs/job-1/charts?x=1']) {
    const { statusCode, body, headers } = await server.inject({ url, headers: HTML });
    expect([statusCode, body]).toEqual([200, '<title>page</title>']);
    expect(headers['cache-control']).toBe('no-cache');
    expect(headers['content-security-policy']).toMatch(/default-src 'none'; script-src 'self';/);
    expect(headers['content-security-policy']).not.toContain('unsafe');
  }
});

test('assets are sent compressed as they lie there, to be kept for good', async () => {
  const plain = await server.inject('/assets/main-1a2b.js');
  expect([plain.body, plain.headers['cache-control']]).toEqual(['plain', 'public, max-age=31536000, immutable']);
  const zipped = await server.inject({ url: '/assets/main-1a2b.js', headers: { 'accept-encoding': 'gzip' } });
  expect([zipped.body, zipped.headers['content-encoding']]).toEqual(['zipped', 'gzip']);
  expect(zipped.headers['content-type']).toMatch(/javascript/);
});

test.each(['/v1/nothing', '/assets/main-old.js', '/docs/none', '/../package.json'])('%s is no page', async (url) => {
  const answer = await server.inject({ url, headers: HTML });
  expect(answer.statusCode).toBe(404);
  expect(answer.json()).toMatchObject({ code: 'not_found' });
});

test('a program that asks for a page that is not there gets a problem document', async () => {
  expect((await server.inject('/runs')).json()).toMatchObject({ status: 404, code: 'not_found' });
});

test('nothing is served where the dashboard is not built', () => {
  expect(serveDashboard(Fastify(), join(root, 'assets'))).toBeUndefined();
});
