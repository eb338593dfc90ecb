import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import type { ComputePrecision, Engine, Program } from '@clipyard/engine';
import { featureWidth, type ModelConfig, pooledRows, type Tokenizer } from '@clipyard/model';
import { compileImageFeatures, compileTower } from '../step/tower-programs.js';
import type { TrainState } from '../step/train-state.js';

/** Samples that are encoded at once; the last part of a list is filled up with its first sample. */
const EVALUATION_BATCH = 64;

/** Weights to evaluate. */
export type Weights = Pick<TrainState, 'specs' | 'towerViews' | 'logitScale'>;

export interface EmbedderDeps {
  readonly engine: Engine;
  readonly weights: Weights;
  readonly tokenizer: Tokenizer;
}

/** Embeds pictures and captions with the present weights: rows of length 1, [n,D]. */
export class Embedder {
  private constructor(
    private readonly deps: EmbedderDeps,
    readonly config: ModelConfig,
    /** Width of the features, F; 0: none are given. */
    readonly featureWidth: number,
    private readonly programs: { readonly image: Program; readonly text: Program },
  ) {}

  /** `features`: give those of pictures from before the projection too. `compute`: what operands are rounded to. */
  static async create(
    deps: EmbedderDeps,
    config: ModelConfig,
    { features = false, compute = 'fp32' }: { features?: boolean; compute?: ComputePrecision } = {},
  ): Promise<Embedder> {
    const options = { config, parameters: deps.weights.specs, samples: EVALUATION_BATCH, compute };
    const image = features
      ? await compileImageFeatures(deps.engine, options)
      : await compileTower(deps.engine, 'image', options);
    const text = await compileTower(deps.engine, 'text', options);
    return new Embedder(deps, config, features ? featureWidth(config) : 0, { image, text });
  }

  /** D. */
  get dimension(): number {
    return this.config.embed_dim;
  }

  /** Bytes of a picture [S,S,3]. */
  get pictureBytes(): number {
    return this.config.vision_cfg.image_size ** 2 * 3;
  }

  /** `pixels`: RGB bytes [n,S,S,3]. Gives `image` [n,D] and maybe `features` [n,F]. */
  images(pixels: Uint8Array, signal: AbortSignal): Promise<Record<string, Float32Array>> {
    const bytes = this.pictureBytes;
    return this.embed('image', pixels.length / bytes, signal, (rows) => {
      const batch = new Uint8Array(rows.length * bytes);
      rows.forEach((row, i) => {
        batch.set(pixels.subarray(row * bytes, (row + 1) * bytes), i * bytes);
      });
      return { images: normalizePixels(batch, CLIP_PIXEL_STATISTICS) };
    });
  }

  async texts(captions: readonly string[], signal: AbortSignal): Promise<Float32Array> {
    const { context_length: length } = this.config.text_cfg;
    const { text } = await this.embed('text', captions.length, signal, (rows) => {
      const tokens = new Int32Array(rows.length * length);
      rows.forEach((row, i) => {
        tokens.set(this.deps.tokenizer.encode(captions[row]!), i * length);
      });
      return { tokens, ends: pooledRows(this.config.text_cfg, tokens) };
    });
    return text!;
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
  ): Promise<Record<string, Float32Array>> {
    const width = (output: string): number => (output === 'features' ? this.featureWidth : this.dimension);
    const outputs = which === 'image' && this.featureWidth > 0 ? ['image', 'features'] : [which];
    const out = Object.fromEntries(outputs.map((output) => [output, new Float32Array(count * width(output))]));
    const views = Object.fromEntries(
      Object.entries(this.deps.weights.towerViews).filter(
        ([name]) => name.startsWith('visual.') === (which === 'image'),
      ),
    );
    for (let first = 0; first < count; first += EVALUATION_BATCH) {
      signal.throwIfAborted();
      const rows = Array.from({ length: EVALUATION_BATCH }, (_, i) => (first + i < count ? first + i : first));
      const result = await this.programs[which].run({ ...views, ...inputs(rows) });
      const used = Math.min(EVALUATION_BATCH, count - first);
      for (const output of outputs) {
        const values = (result[output] as Float32Array).subarray(0, used * width(output));
        out[output]!.set(values, first * width(output));
      }
    }
    return out;
  }
}
