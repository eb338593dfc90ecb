import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import type { Buffers, ComputePrecision, Engine, Program, StagedProgram } from '@clipyard/engine';
import { drawPatches, isResNet, type ModelConfig, pooledRows } from '@clipyard/model';
import type { RunPlan } from './run-plan.js';
import { compileBackward, compileEncoder, compileEncodeThenBackward, sumInputs } from './tower-programs.js';
import type { TrainState } from './train-state.js';

/** A rank's samples of a step. b rows of this rank, m micro-batch, S side of a picture, t context length, D embedding dimension. */
export interface StepBatch {
  /** RGB bytes [b,S,S,3]; normalised a micro-batch at a time. */
  readonly pixels: Uint8Array;
  /** [b,t]. */
  readonly tokens: Int32Array;
}

/** A batch and where it stands in the run. */
export interface PlacedBatch extends StepBatch {
  /** Of its first sample, among all that the run takes. */
  readonly position: number;
}

/** Cotangents of the embeddings of all rows, [b,D] each. */
export interface Cotangents {
  readonly dImage_bD: Float32Array;
  readonly dText_bD: Float32Array;
}

/** The forward and the backward pass of both towers over a rank's micro-batches. */
export interface TowerPasses {
  /** Writes the embeddings [m,D] of one micro-batch, and adds its statistics to those of the step. */
  encode(batch: PlacedBatch, micro: number, embeddings: { image: Float32Array; text: Float32Array }): Promise<void>;
  /** Leaves the gradient of the towers' parameters over all micro-batches of the same batch in the state. */
  backward(batch: PlacedBatch, cotangents: Cotangents): Promise<void>;
  dispose(): Promise<void>;
}

export interface TowerPassesOptions {
  readonly config: ModelConfig;
  readonly plan: RunPlan;
  readonly compute: ComputePrecision;
  /** Default: what is within the blocks is kept for the backward pass. */
  readonly checkpointBlocks?: boolean | undefined;
  /** Of the run, for patch dropout. */
  readonly seed: number;
}

/** Compiles what the plan asks for. */
export async function compileTowerPasses(
  engine: Engine,
  state: TrainState,
  options: TowerPassesOptions,
): Promise<TowerPasses> {
  const { config, plan, compute, checkpointBlocks } = options;
  const programOptions = { config, parameters: state.specs, samples: plan.microBatch, compute, checkpointBlocks };
  if (plan.keepsTapes) {
    const program = await compileEncodeThenBackward(engine, programOptions, plan.microBatches);
    return new KeptTapes(engine, state, options, program);
  }
  const encoder = await compileEncoder(engine, programOptions);
  const backward = await compileBackward(engine, programOptions);
  return new EncodedTwice(engine, state, options, encoder, backward);
}

/** The part of each micro-batch, as inputs of the programs. */
export class MicroBatches {
  readonly count: number;
  private readonly images: readonly Float32Array[];

  /** `kept`: whether the pictures of all micro-batches stay, or those of one. */
  constructor(
    engine: Engine,
    private readonly weights: Pick<TrainState, 'towerViews'>,
    private readonly options: TowerPassesOptions,
    kept: boolean,
  ) {
    const { plan, config } = options;
    this.count = plan.microBatches;
    const pixels = plan.microBatch * config.vision_cfg.image_size ** 2 * 3;
    this.images = Array.from({ length: kept ? this.count : 1 }, () => engine.allocate('float32', pixels));
  }

  inputs(batch: PlacedBatch, micro: number): Buffers {
    const { plan, config, seed } = this.options;
    const { image_size: size } = config.vision_cfg;
    const { context_length: length } = config.text_cfg;
    const part = <T extends Uint8Array | Int32Array>(array: T, width: number): T =>
      array.subarray(micro * plan.microBatch * width, (micro + 1) * plan.microBatch * width) as T;
    const tokens = part(batch.tokens, length);
    const pixels = part(batch.pixels, size * size * 3);
    const images = normalizePixels(pixels, CLIP_PIXEL_STATISTICS, this.images[micro % this.images.length]!);
    const place = { seed, position: batch.position + micro * plan.microBatch, samples: plan.microBatch };
    const { vision_cfg: vision } = config;
    const kept = !isResNet(vision) && vision.patch_dropout ? drawPatches(vision, place) : {};
    return { ...this.weights.towerViews, images, tokens, ends: pooledRows(config.text_cfg, tokens), ...kept };
  }

  cotangents({ dImage_bD, dText_bD }: Cotangents, micro: number): Buffers {
    const { plan, config } = this.options;
    const length = plan.microBatch * config.embed_dim;
    const rows = [micro * length, (micro + 1) * length] as const;
    return { dImage: dImage_bD.subarray(...rows), dText: dText_bD.subarray(...rows) };
  }
}

/** Keeps what the backward pass needs of every micro-batch: each is encoded once. */
class KeptTapes implements TowerPasses {
  private readonly microBatches: MicroBatches;
  private readonly soFar: Buffers;

  constructor(
    engine: Engine,
    private readonly state: TrainState,
    options: TowerPassesOptions,
    private readonly program: StagedProgram,
  ) {
    this.microBatches = new MicroBatches(engine, state, options, true);
    this.soFar = this.microBatches.count > 1 ? sumInputs(state.gradientViews) : {};
  }

  async encode(batch: PlacedBatch, micro: number, embeddings: Buffers): Promise<void> {
    this.state.statistics.observe(await this.program.run(0, this.microBatches.inputs(batch, micro), embeddings, micro));
  }

  async backward(_batch: PlacedBatch, cotangents: Cotangents): Promise<void> {
    const { state, microBatches } = this;
    if (microBatches.count > 1) state.gradients.fill(0);
    for (let micro = 0; micro < microBatches.count; micro++) {
      const late = { ...this.soFar, ...microBatches.cotangents(cotangents, micro) };
      await this.program.run(1, late, state.gradientViews, micro);
    }
  }

  dispose(): Promise<void> {
    return this.program.dispose();
  }
}

/** Keeps nothing, and encodes every micro-batch again for the backward pass. */
class EncodedTwice implements TowerPasses {
  private readonly microBatches: MicroBatches;

  constructor(
    engine: Engine,
    private readonly state: TrainState,
    options: TowerPassesOptions,
    private readonly encoder: Program,
    private readonly program: Program,
  ) {
    this.microBatches = new MicroBatches(engine, state, options, false);
  }

  async encode(batch: PlacedBatch, micro: number, embeddings: Buffers): Promise<void> {
    this.state.statistics.observe(await this.encoder.run(this.microBatches.inputs(batch, micro), embeddings));
  }

  async backward(batch: PlacedBatch, cotangents: Cotangents): Promise<void> {
    const { state, microBatches } = this;
    state.gradients.fill(0);
    const soFar = sumInputs(state.gradientViews);
    for (let micro = 0; micro < microBatches.count; micro++) {
      const cotangents_m = microBatches.cotangents(cotangents, micro);
      await this.program.run({ ...soFar, ...microBatches.inputs(batch, micro), ...cotangents_m }, state.gradientViews);
    }
  }

  async dispose(): Promise<void> {
    await this.encoder.dispose();
    await this.program.dispose();
  }
}
