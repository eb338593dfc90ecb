import type { Engine } from '@clipyard/engine';
import { decayedLength, initializeParameters, type ParameterSpec } from '@clipyard/model';
import type { FlatLayout } from '@clipyard/tensor';
import { gradientName, LOGIT_SCALE } from './tower-programs.js';

/**
 * What a rank keeps between steps, in flat float32 buffers that programs read and write in place: all parameters (padded
 * for W equal slices) and gradients, and the moments of its own slice.
 */
export class TrainState {
  readonly parameters: Float32Array;
  readonly gradients: Float32Array;
  /** This rank's slice [start, end) of the padded buffers. */
  readonly slice: { readonly start: number; readonly end: number };
  /** Its part of `parameters` and `gradients`, not copies. */
  readonly sliceParameters: Float32Array;
  readonly sliceGradients: Float32Array;
  /** First and second moments of the slice. */
  readonly m: Float32Array;
  readonly v: Float32Array;
  /** How many elements at the beginning of the slice weight decay applies to. */
  readonly sliceDecayed: number;
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
    this.sliceParameters = this.parameters.subarray(this.slice.start, this.slice.end);
    this.sliceGradients = this.gradients.subarray(this.slice.start, this.slice.end);
    this.m = allocate(length);
    this.v = allocate(length);
    this.sliceDecayed = Math.min(length, Math.max(0, decayedLength(specs, layout) - this.slice.start));
    const { [LOGIT_SCALE]: _scale, ...towers } = layout.views(this.parameters);
    this.towerViews = towers;
    const { [LOGIT_SCALE]: _gradient, ...gradients } = layout.views(this.gradients);
    this.gradientViews = Object.fromEntries(
      Object.entries(gradients).map(([name, view]) => [gradientName(name), view]),
    );
  }

  /** Initial weights and no moments. */
  initialize(seed: number): void {
    this.m.fill(0);
    this.v.fill(0);
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
