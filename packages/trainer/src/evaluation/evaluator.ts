import type { EvaluationTask, Group, PredictionSample } from '@clipyard/contracts';
import type { Dataset } from '@clipyard/data';
import type { ModelConfig } from '@clipyard/model';
import type { TrainLog } from '../train-log.js';
import { ClassificationTally } from './classification-tally.js';
import { contentHash, contentIds } from './content-ids.js';
import { type EmbeddedShare, embedShare } from './embedded-share.js';
import { Embedder, type EmbedderDeps } from './embedder.js';
import { EvaluationShare } from './evaluation-share.js';
import { gatherRows, shareOf } from './gather-rows.js';
import { predictSamples } from './prediction-samples.js';
import { retrieval } from './retrieval.js';
import { forEachSimilarity } from './similarity.js';
import { type TaskClasses, taskClasses } from './task-classes.js';
import { buildZeroShot, type ZeroShotClassifier } from './zero-shot.js';

export interface EvaluatorDeps extends EmbedderDeps {
  readonly group: Group;
  readonly dataset: Dataset;
  readonly log: TrainLog;
}

export interface EvaluatorOptions {
  readonly config: ModelConfig;
  readonly tasks: readonly EvaluationTask[];
  readonly evalSamples: number;
}

export interface EvaluationResult {
  readonly values: Readonly<Record<string, number>>;
  /** On rank 0 of a final evaluation with classes; else empty. */
  readonly samples: readonly PredictionSample[];
}

type Values = Readonly<Record<string, number>>;

interface Prepared {
  readonly task: EvaluationTask;
  /** Of a zero-shot task. */
  readonly classes?: TaskClasses;
}

/** Measures the present weights on the evaluation data, each rank its share; every rank calls at the same step. */
export class Evaluator {
  private constructor(
    private readonly deps: EvaluatorDeps,
    private readonly embedder: Embedder,
    private readonly share: EvaluationShare,
    private readonly tasks: readonly Prepared[],
  ) {}

  /** Throws `spec_invalid` for a task that the data cannot serve. */
  static async create(deps: EvaluatorDeps, options: EvaluatorOptions): Promise<Evaluator> {
    const { dataset, log, group } = deps;
    const tasks = options.tasks.map((task, i): Prepared => {
      const path = `evaluate.tasks[${i}]`;
      return task.type === 'zeroshot' ? { task, classes: taskClasses(task, dataset.classes, path) } : { task };
    });
    const share = new EvaluationShare(dataset, log, shareOf(Math.min(options.evalSamples, dataset.size), group));
    await share.preload(({ labels }) => {
      for (const { classes } of tasks) for (const label of labels) if (label >= 0) classes?.indexOf(label);
    });
    return new Evaluator(deps, await Embedder.create(deps, options.config), share, tasks);
  }

  async run(final: boolean, signal: AbortSignal): Promise<EvaluationResult> {
    const { embedder, share } = this;
    const embedded = await embedShare(embedder, share, signal);
    const values: Record<string, number> = {};
    let samples: PredictionSample[] = [];
    for (const { task, classes } of this.tasks) {
      let found: Values;
      if (classes === undefined) found = await this.retrieval(embedded, signal);
      else {
        const classifier = await buildZeroShot(embedder, this.deps.group, classes.names, classes.templates, signal);
        found = await this.zeroShot(classifier, classes, embedded, signal);
        if (final && this.deps.group.rank === 0) {
          const scale = Math.exp(this.deps.weights.logitScale);
          samples = await predictSamples({ share, embedded, classifier, scale, signal });
        }
      }
      for (const [name, value] of Object.entries(found)) values[`eval/${task.name ?? task.type}/${name}`] = value;
    }
    return { values, samples };
  }

  async dispose(): Promise<void> {
    await this.embedder.dispose();
  }

  private async retrieval({ images, captions, pictures }: EmbeddedShare, signal: AbortSignal): Promise<Values> {
    const { group } = this.deps;
    const { dimension } = this.embedder;
    const hashes = new Int32Array(captions.flatMap((caption) => [...contentHash(caption)]));
    const pairs = {
      dimension,
      images: await gatherRows(group, images, dimension, signal),
      texts: await gatherRows(group, await this.embedder.texts(captions, signal), dimension, signal),
      imageIds: await contentIds(group, pictures, signal),
      textIds: await contentIds(group, hashes, signal),
    };
    return await retrieval(this.deps, pairs, signal);
  }

  /** Accuracies over the samples that have a class of the task; none where there are none. */
  private async zeroShot(
    { names, weights }: ZeroShotClassifier,
    classes: TaskClasses,
    { images, labels, groups }: EmbeddedShare,
    signal: AbortSignal,
  ): Promise<Values> {
    const { dimension } = this.embedder;
    const targets = Array.from(labels, (label) => (label < 0 ? undefined : classes.indexOf(label)));
    const tally = new ClassificationTally(names.length);
    await forEachSimilarity(
      this.deps.engine,
      { queries: images, candidates: weights, dimension },
      (i, similarities) => {
        const target = targets[i];
        if (target !== undefined) tally.add(similarities, target, classes.ofDataset ? groups[i] : undefined);
      },
    );
    await tally.reduce(this.deps.group, signal);
    return tally.values();
  }
}
