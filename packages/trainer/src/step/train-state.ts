import type { Engine } from '@clipyard/engine';
import {
  frozenLayout,
  initializeParameters,
  type ParameterGroup,
  type ParameterSpec,
  parameterGroups,
} from '@clipyard/model';
import {
  CounterRandom,
  type FlatLayout,
  type FloatStorage,
  roundStochastically,
  type StoredFloats,
  storedFloats,
} from '@clipyard/tensor';
import { RunningStatistics } from './running-statistics.js';
import { gradientName, isTowerParameter, LOGIT_BIAS, LOGIT_SCALE } from './tower-programs.js';

/** The random numbers by which the weights of a step are rounded, one an element of the flat buffer. */
export const weightRounding = (seed: number, step: number): CounterRandom =>
  new CounterRandom(seed, 3 * 2 ** 45 + step);

export interface TrainStateOptions {
  /** Default fp32. */
  readonly momentDtype?: FloatStorage;
  /** Whether an average of the weights is kept; default false. */
  readonly averages?: boolean;
}

/**
 * What a rank keeps between steps, in flat float32 buffers that programs read and write in place: all parameters (padded
 * for W equal slices) and gradients, and the moments of its own slice. Parameters that are not trained lie apart.
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
  readonly m: StoredFloats;
  readonly v: StoredFloats;
  /** Moving average of the slice's parameters; undefined where none is kept. */
  readonly sliceAverage: Float32Array | undefined;
  /** Parts of the slice that are updated alike, counted from its start. */
  readonly sliceGroups: readonly ParameterGroup[];
  /** What batch norm has seen, kept in `towerViews`. */
  readonly statistics: RunningStatistics;
  /** Parameters by name as views, without logit scale and bias: what the towers read. */
  readonly towerViews: Readonly<Record<string, Float32Array>>;
  /** Gradients by output name as views of `gradients`, likewise, of what is trained. */
  readonly gradientViews: Readonly<Record<string, Float32Array>>;
  private readonly frozen: { readonly layout: FlatLayout; readonly parameters: Float32Array };
  /** Where the logit bias stands in the flat buffers, in models that have one. */
  private readonly biasAt: number | undefined;

  constructor(
    engine: Engine,
    readonly specs: readonly ParameterSpec[],
    readonly layout: FlatLayout,
    rank: number,
    worldSize: number,
    { momentDtype = 'fp32', averages = false }: TrainStateOptions = {},
  ) {
    const padded = layout.paddedTotal(worldSize);
    const length = padded / worldSize;
    const allocate = (size: number): Float32Array => engine.allocate('float32', size);
    this.parameters = allocate(padded);
    this.gradients = allocate(padded);
    this.slice = layout.shard(rank, worldSize);
    const { start, end } = this.slice;
    this.sliceParameters = this.parameters.subarray(start, end);
    this.sliceGradients = this.gradients.subarray(start, end);
    this.m = storedFloats(momentDtype, length, allocate);
    this.v = storedFloats(momentDtype, length, allocate);
    this.sliceAverage = averages ? allocate(length) : undefined;
    this.sliceGroups = parameterGroups(specs, layout, padded)
      .map((group) => ({
        ...group,
        start: Math.max(group.start, start) - start,
        end: Math.min(group.end, end) - start,
      }))
      .filter((group) => group.start < group.end);
    const frozen = frozenLayout(specs);
    this.frozen = { layout: frozen, parameters: allocate(frozen.total) };
    this.towerViews = Object.fromEntries(
      specs.filter(({ name }) => isTowerParameter(name)).map(({ name }) => [name, this.view(name)]),
    );
    this.gradientViews = Object.fromEntries(
      Object.entries(layout.views(this.gradients))
        .filter(([name]) => isTowerParameter(name))
        .map(([name, view]) => [gradientName(name), view]),
    );
    this.statistics = new RunningStatistics(specs, (name) => this.view(name));
    this.biasAt = layout.has(LOGIT_BIAS) ? layout.offset(LOGIT_BIAS) : undefined;
  }

  /** The values of a parameter, not a copy. */
  view(name: string): Float32Array {
    const { layout, parameters } = this.layout.has(name) ? this : this.frozen;
    return layout.view(parameters, name);
  }

  /** Initial weights and no moments. */
  initialize(seed: number): void {
    this.m.fill(0);
    this.v.fill(0);
    initializeParameters(this.specs, seed, (name) => this.view(name));
    this.startFromWeights(seed);
  }

  /** The present weights are those of step 0: rounded where they have 16 bits, and the beginning of the average. */
  startFromWeights(seed: number): void {
    for (const { name, storage } of this.specs) {
      if (storage === undefined) continue;
      const offset = this.layout.has(name)
        ? this.layout.offset(name)
        : this.layout.total + this.frozen.layout.offset(name);
      roundStochastically(this.view(name), storage, weightRounding(seed, 0), offset);
    }
    this.sliceAverage?.set(this.sliceParameters);
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

  /** Added to all logits; 0 in models without one. */
  get logitBias(): number {
    return this.biasAt === undefined ? 0 : this.parameters[this.biasAt]!;
  }

  set logitBiasGradient(value: number) {
    if (this.biasAt !== undefined) this.gradients[this.biasAt] = value;
  }
}
