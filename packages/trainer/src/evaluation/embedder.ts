import type { Group } from '@clipyard/contracts';
import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import type { Engine, Program } from '@clipyard/engine';
import { endOfTextRows, type ModelConfig, type Tokenizer } from '@clipyard/model';
import { compileTower } from '../step/tower-programs.js';
import type { TrainState } from '../step/train-state.js';
import { type GatheredRows, gatherRows, shareOf } from './gather-rows.js';

/** Samples that are encoded at once; the last part of a list is filled up with its first sample. */
const EVALUATION_BATCH = 64;

export interface EmbedderDeps {
  readonly engine: Engine;
  readonly group: Group;
  readonly state: TrainState;
  readonly tokenizer: Tokenizer;
}

/** Embeds pictures and captions with the present weights, each rank its share, and gathers them: rows [n,D] of length 1. */
export class Embedder {
  private constructor(
    private readonly deps: EmbedderDeps,
    readonly config: ModelConfig,
    private readonly programs: { readonly image: Program; readonly text: Program },
  ) {}

  static async create(deps: EmbedderDeps, config: ModelConfig): Promise<Embedder> {
    const options = { config, parameters: deps.state.specs, samples: EVALUATION_BATCH };
    const image = await compileTower(deps.engine, 'image', options);
    return new Embedder(deps, config, { image, text: await compileTower(deps.engine, 'text', options) });
  }

  get dimension(): number {
    return this.config.embed_dim;
  }

  /** `ownPixels`: RGB bytes [n_r,S,S,3] of this rank. */
  images(ownPixels: Uint8Array, signal: AbortSignal): Promise<GatheredRows<Float32Array>> {
    const bytes = this.config.vision_cfg.image_size ** 2 * 3;
    return this.embed('image', ownPixels.length / bytes, signal, (rows) => {
      const pixels = new Uint8Array(rows.length * bytes);
      rows.forEach((row, i) => {
        pixels.set(ownPixels.subarray(row * bytes, (row + 1) * bytes), i * bytes);
      });
      return { images: normalizePixels(pixels, CLIP_PIXEL_STATISTICS) };
    });
  }

  /** `ownCaptions`: those of this rank. */
  texts(ownCaptions: readonly string[], signal: AbortSignal): Promise<GatheredRows<Float32Array>> {
    const { context_length: length } = this.config.text_cfg;
    return this.embed('text', ownCaptions.length, signal, (rows) => {
      const tokens = new Int32Array(rows.length * length);
      rows.forEach((row, i) => {
        tokens.set(this.deps.tokenizer.encode(ownCaptions[row]!), i * length);
      });
      return { tokens, ends: endOfTextRows(tokens, length) };
    });
  }

  /** A list that every rank has: each embeds its part. */
  async sharedTexts(captions: readonly string[], signal: AbortSignal): Promise<Float32Array> {
    const { start, end } = shareOf(captions.length, this.deps.group);
    return (await this.texts(captions.slice(start, end), signal)).rows;
  }

  async dispose(): Promise<void> {
    await this.programs.image.dispose();
    await this.programs.text.dispose();
  }

  private async embed(
    which: 'image' | 'text',
    count: number,
    signal: AbortSignal,
    inputs: (rows: number[]) => Record<string, Float32Array | Int32Array>,
  ): Promise<GatheredRows<Float32Array>> {
    const { group, state } = this.deps;
    const own = new Float32Array(count * this.dimension);
    const views = Object.fromEntries(
      Object.entries(state.towerViews).filter(([name]) => name.startsWith('visual.') === (which === 'image')),
    );
    for (let first = 0; first < count; first += EVALUATION_BATCH) {
      signal.throwIfAborted();
      const rows = Array.from({ length: EVALUATION_BATCH }, (_, i) => (first + i < count ? first + i : first));
      const result = await this.programs[which].run({ ...views, ...inputs(rows) });
      const used = Math.min(EVALUATION_BATCH, count - first) * this.dimension;
      own.set((result[which] as Float32Array).subarray(0, used), first * this.dimension);
    }
    return gatherRows(group, own, this.dimension, signal);
  }
}
