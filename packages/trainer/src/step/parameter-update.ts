import type { RunSpec } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { type AdamWStep, compileAdamW } from '@clipyard/optim';
import type { TrainState } from './train-state.js';

/** The optimizer over this rank's slice of the parameters, in place. */
export interface ParameterUpdate {
  run(step: Pick<AdamWStep, 'lr' | 'step' | 'gradScale'>): Promise<void>;
  dispose(): Promise<void>;
}

/** AdamW for the part of the slice that decays and for the part that does not. Throws what the engine throws. */
export async function compileUpdate(
  engine: Engine,
  state: TrainState,
  { betas, eps, weightDecay }: RunSpec['optimizer'],
): Promise<ParameterUpdate> {
  const { sliceParameters, sliceGradients, m, v, sliceDecayed } = state;
  const ranges = [
    { from: 0, to: sliceDecayed, weightDecay },
    { from: sliceDecayed, to: sliceParameters.length, weightDecay: 0 },
  ].filter(({ from, to }) => from < to);
  const parts = await Promise.all(
    ranges.map(async ({ from, to, weightDecay }) => ({
      arrays: {
        param: sliceParameters.subarray(from, to),
        grad: sliceGradients.subarray(from, to),
        m: m.subarray(from, to),
        v: v.subarray(from, to),
      },
      adamw: await compileAdamW(engine, { length: to - from, betas, eps, weightDecay }),
    })),
  );
  return {
    run: async (step) => {
      for (const { adamw, arrays } of parts) await adamw.step({ ...arrays, ...step });
    },
    dispose: async () => {
      for (const { adamw } of parts) await adamw.dispose();
    },
  };
}
