import { once } from 'node:events';
import { createServer } from 'node:http';
import { fieldError, type Health } from '@clipyard/contracts';
import type { WorkerMetrics } from './prometheus.js';

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface HealthOptions {
  readonly host: string;
  readonly port: number;
  /** What `/metrics` answers with; unset: there is none. */
  readonly metrics?: Pick<WorkerMetrics, 'contentType' | 'read'>;
}

/** Longest time for a request to arrive whole, ms. */
const REQUEST_LIMIT_MS = 5_000;

/**
 * For the probes of Docker and Kubernetes: `/healthz` answers as long as the process does, whatever has become of the
 * database, since ranks train on without it; `/readyz` says whether the node may be given work. Beside them `/metrics`. Throws `port_taken`.
 */
export async function serveHealth(
  node: () => Health['checks'][string],
  { host, port, metrics }: HealthOptions,
): Promise<HealthServer> {
  const server = createServer({ requestTimeout: REQUEST_LIMIT_MS }, async (request, response) => {
    if (request.url === '/metrics' && metrics !== undefined) {
      const text = await metrics.read();
      response.writeHead(200, { 'content-type': metrics.contentType, connection: 'close' });
      response.end(text);
      return;
    }
    const health = healthAt(request.url, node());
    response.writeHead(health === undefined ? 404 : health.status === 'ok' ? 200 : 503, {
      'content-type': 'application/json; charset=utf-8',
      connection: 'close',
    });
    response.end(JSON.stringify(health ?? { status: 'unavailable', checks: {} }));
  });
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    const message = `cannot be listened on at ${host}: ${(cause as Error).message}`;
    const remedy = 'Set CLIPYARD_HEALTH_PORT to a free port, or leave it unset for none.';
    throw fieldError('port_taken', { path: 'CLIPYARD_HEALTH_PORT', message, value: port, remedy });
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('not a TCP server');
  return {
    port: address.port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function healthAt(url: string | undefined, node: string): Health | undefined {
  if (url === '/healthz') return { status: 'ok', checks: {} };
  if (url === '/readyz') return { status: node === 'ok' ? 'ok' : 'unavailable', checks: { node } };
  return undefined;
}
