import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import type { Buffers, Engine } from '@clipyard/engine';
import { drawPatches, isResNet, type ModelConfig, pooledRows } from '@clipyard/model';
import type { RunPlan } from './run-plan.js';
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

export interface MicroBatchOptions {
  readonly config: ModelConfig;
  readonly plan: RunPlan;
  /** Of the run, for patch dropout. */
  readonly seed: number;
}

/** The part of each micro-batch, as inputs of the programs. */
export class MicroBatches {
  readonly count: number;
  private readonly images: readonly Float32Array[];

  /** `kept`: whether the pictures of all micro-batches stay, or those of one. */
  constructor(
    engine: Engine,
    private readonly weights: Pick<TrainState, 'towerViews'>,
    private readonly options: MicroBatchOptions,
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
