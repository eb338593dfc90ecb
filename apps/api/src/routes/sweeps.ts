import { OPERATIONS, parseSweepSpec, type RunSpec } from '@clipyard/contracts';
import type { FastifyInstance } from 'fastify';
import { idempotencyKey } from '../request-input.js';
import { serve, whole } from '../serve.js';

export interface SweepRouteDeps {
  /** Throws `preset_unknown` or `model_config_invalid`. */
  readonly checkModel: (model: RunSpec['model']) => void;
}

/** Sweeps and their trials. */
export function sweepRoutes(server: FastifyInstance, { checkModel }: SweepRouteDeps): void {
  serve(server, OPERATIONS.submitSweep, async ({ body, control, query, request, reply }) => {
    const key = idempotencyKey(request);
    const { sweep, created } = await control.sweeps.submit(parseSweepSpec(body), {
      ...query,
      ...(key === undefined ? {} : { idempotencyKey: key }),
      checkTrial: ({ model }) => checkModel(model),
    });
    if (!created) reply.header('idempotency-replayed', 'true');
    return reply.code(201).header('location', `/v1/sweeps/${sweep.id}`).send(sweep);
  });
  serve(server, OPERATIONS.listSweeps, ({ control, query }) => control.sweeps.list(query));
  serve(server, OPERATIONS.getSweep, ({ control, params }) => control.sweeps.get(params.id));
  serve(server, OPERATIONS.listTrials, async ({ control, params }) => whole(await control.sweeps.trials(params.id)));
  serve(server, OPERATIONS.pauseSweep, ({ control, params }) => control.sweeps.pause(params.id));
  serve(server, OPERATIONS.resumeSweep, ({ control, params }) => control.sweeps.resume(params.id));
  serve(server, OPERATIONS.cancelSweep, ({ control, params }) => control.sweeps.cancel(params.id));
}
