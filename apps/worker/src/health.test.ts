import { expect, it } from 'vitest';
import { serveHealth } from './health.js';

const ask = async (port: number, path: string): Promise<[number, unknown]> => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return [response.status, await response.json()];
};

it('is alive whatever the node is, and ready when the node is', async () => {
  let node = 'not registered yet';
  const server = await serveHealth(() => node, { host: '127.0.0.1', port: 0 });
  try {
    expect(await ask(server.port, '/healthz')).toEqual([200, { status: 'ok', checks: {} }]);
    expect(await ask(server.port, '/readyz')).toEqual([503, { status: 'unavailable', checks: { node } }]);
    node = 'ok';
    expect(await ask(server.port, '/readyz')).toEqual([200, { status: 'ok', checks: { node: 'ok' } }]);
    expect((await ask(server.port, '/metrics'))[0]).toBe(404);
    expect((await ask(server.port, '/'))[0]).toBe(404);
  } finally {
    await server.close();
  }
  await expect(ask(server.port, '/healthz')).rejects.toThrow();
});

it('refuses a port that is in use, naming the variable', async () => {
  const first = await serveHealth(() => 'ok', { host: '127.0.0.1', port: 0 });
  try {
    await expect(serveHealth(() => 'ok', { host: '127.0.0.1', port: first.port })).rejects.toMatchObject({
      code: 'port_taken',
      fields: [{ path: 'CLIPYARD_HEALTH_PORT', value: first.port }],
    });
  } finally {
    await first.close();
  }
});
