import {
  type BlobStore,
  type CheckpointRecord,
  ClipyardError,
  fieldError,
  LIMITS,
  type PictureMatch,
  type RunSpec,
  type Similarity,
} from '@clipyard/contracts';
import { type Dataset, encodePng, loadEvaluation, openDataset, singleSpaced } from '@clipyard/data';
import type { Engine } from '@clipyard/engine';
import { parameterSpecs, parseModelConfig } from '@clipyard/model';
import { restoreTokenizer } from '../checkpoint/saved-tokenizer.js';
import { type EmbeddedShare, embedShare } from '../evaluation/embedded-share.js';
import { Embedder } from '../evaluation/embedder.js';
import { EvaluationShare } from '../evaluation/evaluation-share.js';
import { LoadedWeights } from '../evaluation/loaded-weights.js';
import { openReferredWeights } from '../interchange/initial-weights.js';
import { loadWeights } from '../interchange/load-weights.js';
import type { TrainLog } from '../train-log.js';

export interface InspectorDeps {
  readonly engine: Engine;
  readonly store: BlobStore;
  readonly log: TrainLog;
}

export interface InspectedCheckpoint {
  readonly checkpoint: Pick<CheckpointRecord, 'step' | 'prefix' | 'manifestSha256'>;
  /** Of the job that wrote it. */
  readonly spec: RunSpec;
  readonly dataDir: string;
  readonly cacheDir: string;
}

/**
 * A checkpoint opened to look into: its evaluation pictures, at most `LIMITS.inspectedSamples`, embedded once. The weights
 * are those that evaluations measure. A job without `data.eval` shows its training pictures.
 */
export class CheckpointInspector {
  private constructor(
    private readonly weights: LoadedWeights,
    private readonly embedder: Embedder,
    private readonly dataset: Dataset,
    private readonly embedded: EmbeddedShare,
    private readonly source: Similarity['source'],
  ) {}

  /** Throws what reading the checkpoint or the data throws. */
  static async open(deps: InspectorDeps, of: InspectedCheckpoint, signal: AbortSignal): Promise<CheckpointInspector> {
    const { engine, store, log } = deps;
    const { checkpoint, spec, dataDir, cacheDir } = of;
    const field = 'checkpoint';
    const reference = { field, value: `step ${checkpoint.step}`, checkpoint, dataDir, file: 'average' } as const;
    const opened = await openReferredWeights(store, reference, signal);
    const config = parseModelConfig(opened.modelConfig, field);
    const weights = new LoadedWeights(engine, parameterSpecs(config, spec.loss.initTemperature));
    await loadWeights(opened, { config, parameters: weights.specs, viewOf: (name) => weights.view(name), field, log });
    const tokenizer = await restoreTokenizer({ store, log }, [checkpoint], signal);
    if (tokenizer === undefined)
      throw new ClipyardError('checkpoint_damaged', 'The checkpoint has no usable tokenizer');
    const source = spec.data.eval === undefined ? 'data.train' : 'data.eval';
    const { image_size: imageSize } = config.vision_cfg;
    const places = { dataDir, cacheDir, imageSize, seed: spec.seed, log, signal };
    const dataset = await openDataset(spec.data.eval ?? spec.data.train, { ...places, field: source });
    try {
      const embedder = await Embedder.create({ engine, weights, tokenizer }, config, {
        compute: spec.precision.compute,
      });
      const end = Math.min(dataset.size, spec.data.evalSamples, LIMITS.inspectedSamples);
      const embedded = await embedShare(embedder, new EvaluationShare(dataset, log, { start: 0, end }), signal);
      return new CheckpointInspector(weights, embedder, dataset, embedded, source);
    } catch (error) {
      await dataset.close();
      throw error;
    }
  }

  /** `count` pictures, from all over the data, with their captions: the cosine similarity of each pair. */
  async similarity(count: number, signal: AbortSignal): Promise<Similarity> {
    const { embedder, embedded, weights, source } = this;
    const rows = spread(count, embedded.captions.length);
    const captions = rows.map((row) => embedded.captions[row]!);
    const texts = await embedder.texts(captions, signal);
    const matrix = rows.map((row) => captions.map((_, column) => this.cosine(row, texts, column)));
    return {
      source,
      samples: rows.map((row) => ({ index: embedded.indices[row]!, caption: singleSpaced(embedded.captions[row]!) })),
      matrix,
      logitScale: Math.exp(weights.logitScale),
    };
  }

  /** The pictures that are most similar to a text, best first. */
  async search(text: string, limit: number, signal: AbortSignal): Promise<readonly PictureMatch[]> {
    const { embedder, embedded } = this;
    const query = await embedder.texts([text], signal);
    return embedded.indices
      .map((index, row) => ({
        index,
        caption: singleSpaced(embedded.captions[row]!),
        similarity: this.cosine(row, query, 0),
        group: embedded.groups[row] ?? null,
      }))
      .sort((a, b) => b.similarity - a.similarity || a.index - b.index)
      .slice(0, limit);
  }

  /** A picture as PNG, as the model sees it. Throws `not_found`. */
  async picture(index: number, signal: AbortSignal): Promise<Uint8Array> {
    const { dataset } = this;
    const { pixels } = await loadEvaluation(dataset, { offset: index, count: 1, signal });
    if (pixels.length > 0) return await encodePng(pixels, dataset.imageSize);
    throw fieldError('not_found', {
      path: 'index',
      message: 'is no usable sample of the data',
      value: index,
      remedy: `Use an index that the similarity or a search names; there are ${dataset.size} samples.`,
    });
  }

  async close(): Promise<void> {
    await this.embedder.dispose();
    await this.dataset.close();
  }

  private cosine(row: number, texts_nD: Float32Array, column: number): number {
    const { dimension } = this.embedder;
    const { images } = this.embedded;
    let dot = 0;
    for (let d = 0; d < dimension; d++) dot += images[row * dimension + d]! * texts_nD[column * dimension + d]!;
    return dot;
  }
}

/** Fraction of the golden ratio: its multiples fall evenly, and in step with no order that data may have. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** `count` different rows of `total`, from all over, ascending; all of them where there are no more. */
function spread(count: number, total: number): number[] {
  const rows = new Set<number>();
  for (let k = 0; k < Math.min(count, total); k++) {
    let row = Math.floor(((k * GOLDEN) % 1) * total);
    while (rows.has(row)) row = (row + 1) % total;
    rows.add(row);
  }
  return [...rows].sort((a, b) => a - b);
}
