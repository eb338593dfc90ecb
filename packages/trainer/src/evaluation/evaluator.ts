import type { PredictionSample, RunSpec } from '@clipyard/contracts';
import { LIMITS } from '@clipyard/contracts';
import { type ClassSet, type Dataset, type EvaluationSamples, encodePng, loadEvaluation } from '@clipyard/data';
import type { ModelConfig } from '@clipyard/model';
import type { TrainLog } from '../train-log.js';
import { Embedder, type EmbedderDeps } from './embedder.js';
import { type GatheredRows, shareOf } from './gather-rows.js';
import { retrievalRecall } from './retrieval.js';
import { argMax, buildZeroShot, classSimilarities, type ZeroShotClassifier } from './zero-shot.js';

export interface EvaluatorOptions {
  readonly config: ModelConfig;
  readonly tasks: RunSpec['evaluate']['tasks'];
  readonly evalSamples: number;
  readonly signal: AbortSignal;
}

export interface EvaluationResult {
  readonly values: Readonly<Record<string, number>>;
  /** On rank 0 of a final evaluation with classes; else empty. */
  readonly samples: readonly PredictionSample[];
}

const SHOWN_SAMPLES = 3;
const SHOWN_PREDICTIONS = 3;
const DEFAULT_TEMPLATES = ['a photo of a {}'];

/** Measures the present weights on the evaluation data, each rank its share; every rank calls at the same step. */
export class Evaluator {
  private constructor(
    private readonly deps: Pick<EmbedderDeps, 'engine' | 'group' | 'state'>,
    private readonly options: EvaluatorOptions,
    private readonly embedder: Embedder,
    /** This rank's share, read once. */
    private readonly own: EvaluationSamples,
    private readonly classes: ClassSet | undefined,
  ) {}

  static async create(
    deps: EmbedderDeps & { dataset: Dataset; log: TrainLog },
    options: EvaluatorOptions,
  ): Promise<Evaluator> {
    const { dataset, log } = deps;
    const { start, end } = shareOf(Math.min(options.evalSamples, dataset.size), deps.group);
    const own = await loadEvaluation(dataset, {
      offset: start,
      count: end - start,
      signal: options.signal,
      onBadSample: ({ index, error }) =>
        log('warn', `Evaluation sample ${index} is left out: ${error.message}`, { code: error.code }),
    });
    return new Evaluator(deps, options, await Embedder.create(deps, options.config), own, dataset.classes);
  }

  async run(final: boolean, signal: AbortSignal): Promise<EvaluationResult> {
    const images = await this.embedder.images(this.own.pixels, signal);
    const values: Record<string, number> = {};
    let samples: PredictionSample[] = [];
    for (const task of this.options.tasks) {
      if (task.type === 'retrieval') {
        const texts = await this.embedder.texts(this.own.captions, signal);
        Object.assign(values, await retrievalRecall(this.deps, images, texts, this.embedder.dimension, signal));
        continue;
      }
      const names = task.classes ?? this.classes?.names;
      if (names === undefined) continue;
      const templates = task.templates ?? this.classes?.templates ?? DEFAULT_TEMPLATES;
      const classifier = await buildZeroShot(this.embedder, names, templates, signal);
      if (task.classes === undefined) Object.assign(values, await this.accuracy(classifier, images, signal));
      if (final && this.deps.group.rank === 0) samples = await this.predict(classifier, images);
    }
    return { values, samples };
  }

  async dispose(): Promise<void> {
    await this.embedder.dispose();
  }

  /** Top-1 accuracy over all classes, and over those of each group. Pictures without a label are left out. */
  private async accuracy(
    classifier: ZeroShotClassifier,
    images: GatheredRows<Float32Array>,
    signal: AbortSignal,
  ): Promise<Record<string, number>> {
    const keys = ['top1', 'seen', 'unseen'] as const;
    const tally = new Float64Array(2 * keys.length);
    this.own.labels.forEach((label, i) => {
      if (label < 0) return;
      const right = argMax(classSimilarities(classifier, this.rowOf(images, i))) === label;
      keys.forEach((key, k) => {
        if (key !== 'top1' && key !== this.own.groups[i]) return;
        tally[2 * k]! += Number(right);
        tally[2 * k + 1]!++;
      });
    });
    await this.deps.group.allReduce(tally, 'sum', { signal });
    return Object.fromEntries(
      keys
        .map((key, k) => [`eval/zeroshot/${key}`, tally[2 * k]! / tally[2 * k + 1]!] as const)
        .filter(([, value]) => !Number.isNaN(value)),
    );
  }

  /** A few pictures from all over this rank's share with what the classifier makes of them; one of a held-out class, if there is any. */
  private async predict(
    classifier: ZeroShotClassifier,
    images: GatheredRows<Float32Array>,
  ): Promise<PredictionSample[]> {
    const { image_size: size } = this.embedder.config.vision_cfg;
    const bytes = size ** 2 * 3;
    const scale = Math.exp(this.deps.state.logitScale);
    const samples: PredictionSample[] = [];
    for (const i of this.shown()) {
      const png = await encodePng(this.own.pixels.subarray(i * bytes, (i + 1) * bytes), size);
      if (png.byteLength > LIMITS.predictionPngBytes) continue;
      const probabilities = softmax(classSimilarities(classifier, this.rowOf(images, i)), scale);
      const best = [...probabilities.keys()].sort((a, b) => probabilities[b]! - probabilities[a]!);
      const label = this.own.labels[i]!;
      samples.push({
        png: Buffer.from(png).toString('base64'),
        caption: this.own.captions[i]!,
        predictions: best
          .slice(0, SHOWN_PREDICTIONS)
          .map((c) => ({ label: classifier.names[c]!, probability: probabilities[c]! })),
        ...(label >= 0 ? { truth: this.classes?.names[label] } : {}),
        ...(this.own.groups[i] === undefined ? {} : { group: this.own.groups[i] }),
      });
    }
    return samples;
  }

  /** Indices of the pictures to show. */
  private shown(): number[] {
    const count = this.own.captions.length;
    const spread = Array.from({ length: SHOWN_SAMPLES }, (_, k) =>
      Math.floor(((2 * k + 1) * count) / (2 * SHOWN_SAMPLES)),
    );
    const unseen = this.own.groups.indexOf('unseen', spread[SHOWN_SAMPLES - 1]);
    return [...new Set(unseen < 0 ? spread : [...spread.slice(0, -1), unseen])].filter((i) => i < count);
  }

  private rowOf(images: GatheredRows<Float32Array>, ownRow: number): Float32Array {
    const { dimension } = this.embedder;
    return images.rows.subarray((images.start + ownRow) * dimension, (images.start + ownRow + 1) * dimension);
  }
}

/** Probabilities of classes: the softmax of the similarities times the model's own logit scale. */
function softmax(similarities: Float32Array, scale: number): Float32Array {
  const highest = similarities.reduce((a, b) => Math.max(a, b));
  const exponentials = similarities.map((value) => Math.exp(scale * (value - highest)));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}
