import type { Health } from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';

/** `/healthz`: the process answers; `/readyz`: so do the stores it needs, and it is not draining. */
export function healthRoutes(server: FastifyInstance, deps: { control: ControlPlane; draining: AbortSignal }): void {
  server.get('/healthz', { logLevel: 'warn' }, async (): Promise<Health> => ({ status: 'ok', checks: {} }));

  server.get('/readyz', { logLevel: 'warn' }, async (_request, reply) => {
    const health: Health = deps.draining.aborted
      ? { status: 'unavailable', checks: { api: 'draining' } }
      : await deps.control.health();
    return reply.code(health.status === 'ok' ? 200 : 503).send(health);
  });
}
