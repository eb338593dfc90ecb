import type { RunSpec } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { type AdamWStep, compileAdamW } from '@clipyard/optim';
import { roundStochastically } from '@clipyard/tensor';
import { type TrainState, weightRounding } from './train-state.js';

/** The optimizer over this rank's slice of the parameters, in place. */
export interface ParameterUpdate {
  /** `step` counts from 1. */
  run(step: Pick<AdamWStep, 'lr' | 'step' | 'gradScale'>): Promise<void>;
  dispose(): Promise<void>;
}

export interface ParameterUpdateOptions
  extends Pick<RunSpec['optimizer'], 'betas' | 'eps' | 'weightDecay' | 'emaDecay'> {
  /** Of the run: names the random numbers by which moments of 16 bits are rounded. */
  readonly seed: number;
}

/** AdamW for each group of the slice. Throws what the engine throws. */
export async function compileUpdate(
  engine: Engine,
  state: TrainState,
  { betas, eps, weightDecay, emaDecay, seed }: ParameterUpdateOptions,
): Promise<ParameterUpdate> {
  const { sliceParameters, sliceGradients, sliceAverage } = state;
  const moments = { m: state.m, v: state.v, seed, offset: state.slice.start };
  const parts = await Promise.all(
    state.sliceGroups.map(async ({ start, end, decay, lrScale, storage }) => ({
      lrScale,
      storage,
      from: start,
      param: sliceParameters.subarray(start, end),
      grad: sliceGradients.subarray(start, end),
      averages: sliceAverage?.subarray(start, end),
      adamw: await compileAdamW(engine, {
        length: end - start,
        betas,
        eps,
        weightDecay: decay ? weightDecay : 0,
        averages: sliceAverage !== undefined,
      }),
    })),
  );
  return {
    run: async ({ lr, ...step }) => {
      // Grows from 0, so that the initial weights are forgotten soon.
      const decay = Math.min(emaDecay ?? 0, (1 + step.step) / (10 + step.step));
      for (const { adamw, lrScale, storage, averages, ...arrays } of parts) {
        const average = averages && { values: averages, decay };
        await adamw.step({ ...arrays, ...step, moments, average, lr: lr * lrScale });
        if (storage !== undefined) {
          const random = weightRounding(seed, step.step);
          roundStochastically(arrays.param, storage, random, moments.offset + arrays.from);
        }
      }
    },
    dispose: async () => {
      for (const { adamw } of parts) await adamw.dispose();
    },
  };
}
