import type { Engine } from '@clipyard/engine';
import { decayMask, initializeParameters, type ParameterSpec } from '@clipyard/model';
import type { FlatLayout } from '@clipyard/tensor';
import { gradientName, LOGIT_SCALE } from './tower-programs.js';

/**
 * What a rank keeps between steps, in flat float32 buffers that programs read and write in place: all parameters (padded
 * for W equal slices) and gradients, and the moments of its own slice. Moments have two copies, since a program may not
 * write what it reads.
 */
export class TrainState {
  readonly parameters: Float32Array;
  readonly gradients: Float32Array;
  /** This rank's slice [start, end) of the padded buffers. */
  readonly slice: { readonly start: number; readonly end: number };
  readonly sliceGradients: Float32Array;
  readonly sliceParameters: Float32Array;
  readonly sliceDecay: Float32Array;
  /** First and second moments; `moments[current]` is the newest. */
  readonly moments: readonly { readonly m: Float32Array; readonly v: Float32Array }[];
  current = 0;
  /** Parameters by name as views of `parameters`, without the logit scale: what the towers read. */
  readonly towerViews: Readonly<Record<string, Float32Array>>;
  /** Gradients by output name as views of `gradients`, likewise. */
  readonly gradientViews: Readonly<Record<string, Float32Array>>;

  constructor(
    engine: Engine,
    readonly specs: readonly ParameterSpec[],
    readonly layout: FlatLayout,
    rank: number,
    worldSize: number,
  ) {
    const padded = layout.paddedTotal(worldSize);
    const length = padded / worldSize;
    const allocate = (size: number): Float32Array => engine.allocate('float32', size);
    this.parameters = allocate(padded);
    this.gradients = allocate(padded);
    this.slice = layout.shard(rank, worldSize);
    this.sliceGradients = allocate(length);
    this.sliceParameters = allocate(length);
    this.sliceDecay = allocate(length);
    this.moments = [0, 1].map(() => ({ m: allocate(length), v: allocate(length) }));
    const { [LOGIT_SCALE]: _scale, ...towers } = layout.views(this.parameters);
    this.towerViews = towers;
    const { [LOGIT_SCALE]: _gradient, ...gradients } = layout.views(this.gradients);
    this.gradientViews = Object.fromEntries(
      Object.entries(gradients).map(([name, view]) => [gradientName(name), view]),
    );
    const decay = new Float32Array(padded);
    decayMask(specs, layout, decay);
    this.sliceDecay.set(decay.subarray(this.slice.start, this.slice.end));
  }

  initialize(seed: number): void {
    initializeParameters(this.specs, this.layout, seed, this.parameters);
  }

  /** ln s; the factor on the cosine similarities is exp of it. */
  get logitScale(): number {
    return this.parameters[this.layout.offset(LOGIT_SCALE)]!;
  }

  set logitScale(value: number) {
    this.parameters[this.layout.offset(LOGIT_SCALE)] = value;
  }

  set logitScaleGradient(value: number) {
    this.gradients[this.layout.offset(LOGIT_SCALE)] = value;
  }
}
