import { type Health, OPERATIONS } from '@clipyard/contracts';
import type { FastifyInstance } from 'fastify';
import { serve } from '../serve.js';

/** `/healthz`: the process answers; `/readyz`: so do the stores it needs, and it is not draining. */
export function healthRoutes(server: FastifyInstance, deps: { draining: AbortSignal }): void {
  const quiet = { logLevel: 'warn' } as const;
  serve(server, OPERATIONS.isAlive, async (): Promise<Health> => ({ status: 'ok', checks: {} }), quiet);
  serve(
    server,
    OPERATIONS.isReady,
    async ({ control, reply }) => {
      const health: Health = deps.draining.aborted
        ? { status: 'unavailable', checks: { api: 'draining' } }
        : await control.health();
      return reply.code(health.status === 'ok' ? 200 : 503).send(health);
    },
    quiet,
  );
}
