import { OPERATIONS, parseSweepSpec, type RunSpec } from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { idempotencyKey } from '../request-input.js';
import { serve, whole } from '../serve.js';

export interface SweepRouteDeps {
  readonly control: ControlPlane;
  /** Throws `preset_unknown` or `model_config_invalid`. */
  readonly checkModel: (model: RunSpec['model']) => void;
}

/** Sweeps and their trials. */
export function sweepRoutes(server: FastifyInstance, { control: { sweeps }, checkModel }: SweepRouteDeps): void {
  serve(server, OPERATIONS.submitSweep, async ({ body, request, reply }) => {
    const key = idempotencyKey(request);
    const { sweep, created } = await sweeps.submit(parseSweepSpec(body), {
      ...(key === undefined ? {} : { idempotencyKey: key }),
      checkTrial: ({ model }) => checkModel(model),
    });
    if (!created) reply.header('idempotency-replayed', 'true');
    return reply.code(201).header('location', `/v1/sweeps/${sweep.id}`).send(sweep);
  });
  serve(server, OPERATIONS.listSweeps, ({ query }) => sweeps.list(query));
  serve(server, OPERATIONS.getSweep, ({ params }) => sweeps.get(params.id));
  serve(server, OPERATIONS.listTrials, async ({ params }) => whole(await sweeps.trials(params.id)));
  serve(server, OPERATIONS.pauseSweep, ({ params }) => sweeps.pause(params.id));
  serve(server, OPERATIONS.resumeSweep, ({ params }) => sweeps.resume(params.id));
  serve(server, OPERATIONS.cancelSweep, ({ params }) => sweeps.cancel(params.id));
}
