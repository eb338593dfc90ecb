import { bootTestDatabase } from '@clipyard/db';
import { Lifecycle } from '@clipyard/runtime';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { appMain, TestProcess } from './test-process.js';

test('an API that other machines can reach starts only where a token can be had, and asks for it', {
  timeout: 60_000,
}, async ({ signal }) => {
  await using lifecycle = new Lifecycle();
  const { url: DATABASE_URL } = lifecycle.use('database', await bootTestDatabase());
  const env = { ...process.env, DATABASE_URL, HOST: '0.0.0.0', PORT: '0' };
  const refused = await TestProcess.start(appMain('api'), ['--role', 'api'], env);
  expect(await refused.ended).toMatchObject({ code: 1 });
  expect(refused.output).toContain('there is no admin token');
  expect(refused.output).toContain('CLIPYARD_BOOTSTRAP_TOKEN');

  const token = 'b0075724'.repeat(5);
  const api = await TestProcess.start(appMain('api'), ['--role', 'api'], { ...env, CLIPYARD_BOOTSTRAP_TOKEN: token });
  lifecycle.add('API', async () => void (await api.stop()));
  const { port } = new URL(z.object({ url: z.url() }).parse(await api.announced).url);
  const status = async (headers: Record<string, string>) =>
    (await fetch(`http://127.0.0.1:${port}/v1/jobs`, { headers, signal })).status;
  expect(await status({})).toBe(401);
  expect(await status({ authorization: `Bearer ${token}` })).toBe(200);
});
