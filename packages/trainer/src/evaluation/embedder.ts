import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import type { Engine, Program } from '@clipyard/engine';
import { endOfTextRows, type ModelConfig, type Tokenizer } from '@clipyard/model';
import { compileTower } from '../step/tower-programs.js';
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
    private readonly programs: { readonly image: Program; readonly text: Program },
  ) {}

  static async create(deps: EmbedderDeps, config: ModelConfig): Promise<Embedder> {
    const options = { config, parameters: deps.weights.specs, samples: EVALUATION_BATCH };
    const image = await compileTower(deps.engine, 'image', options);
    return new Embedder(deps, config, { image, text: await compileTower(deps.engine, 'text', options) });
  }

  /** D. */
  get dimension(): number {
    return this.config.embed_dim;
  }

  /** Bytes of a picture [S,S,3]. */
  get pictureBytes(): number {
    return this.config.vision_cfg.image_size ** 2 * 3;
  }

  /** `pixels`: RGB bytes [n,S,S,3]. */
  images(pixels: Uint8Array, signal: AbortSignal): Promise<Float32Array> {
    const bytes = this.pictureBytes;
    return this.embed('image', pixels.length / bytes, signal, (rows) => {
      const batch = new Uint8Array(rows.length * bytes);
      rows.forEach((row, i) => {
        batch.set(pixels.subarray(row * bytes, (row + 1) * bytes), i * bytes);
      });
      return { images: normalizePixels(batch, CLIP_PIXEL_STATISTICS) };
    });
  }

  texts(captions: readonly string[], signal: AbortSignal): Promise<Float32Array> {
    const { context_length: length } = this.config.text_cfg;
    return this.embed('text', captions.length, signal, (rows) => {
      const tokens = new Int32Array(rows.length * length);
      rows.forEach((row, i) => {
        tokens.set(this.deps.tokenizer.encode(captions[row]!), i * length);
      });
      return { tokens, ends: endOfTextRows(tokens, length) };
    });
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
  ): Promise<Float32Array> {
    const out = new Float32Array(count * this.dimension);
    const views = Object.fromEntries(
      Object.entries(this.deps.weights.towerViews).filter(
        ([name]) => name.startsWith('visual.') === (which === 'image'),
      ),
    );
    for (let first = 0; first < count; first += EVALUATION_BATCH) {
      signal.throwIfAborted();
      const rows = Array.from({ length: EVALUATION_BATCH }, (_, i) => (first + i < count ? first + i : first));
      const result = await this.programs[which].run({ ...views, ...inputs(rows) });
      const used = Math.min(EVALUATION_BATCH, count - first) * this.dimension;
      out.set((result[which] as Float32Array).subarray(0, used), first * this.dimension);
    }
    return out;
  }
}
