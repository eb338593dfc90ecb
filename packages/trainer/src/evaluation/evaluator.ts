import {
  type DataSource,
  type EvaluationTask,
  fieldError,
  type Group,
  type PredictionSample,
  type RunSpec,
  type TaskResult,
} from '@clipyard/contracts';
import type { Dataset } from '@clipyard/data';
import type { ComputePrecision } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import type { TrainLog } from '../train-log.js';
import { embedShare } from './embedded-share.js';
import { Embedder, type EmbedderDeps } from './embedder.js';
import { EvaluationShare } from './evaluation-share.js';
import { shareOf } from './gather-rows.js';
import { LearningData } from './learning-data.js';
import { probeData } from './probe/probe-data.js';
import { robustness } from './robustness.js';
import { fewShotTask } from './tasks/few-shot-task.js';
import { linearProbeTask } from './tasks/linear-probe-task.js';
import { predictSamples } from './tasks/prediction-samples.js';
import { retrievalTask } from './tasks/retrieval-task.js';
import type { TaskContext, TaskOf, TaskOutcome, Values } from './tasks/task.js';
import { type TaskClasses, taskClasses } from './tasks/task-classes.js';
import { zeroShotTask } from './tasks/zero-shot-task.js';

export interface EvaluatorDeps extends EmbedderDeps {
  readonly group: Group;
  readonly dataset: Dataset;
  readonly log: TrainLog;
  /** Gives what a task learns from; `source` undefined: the training data. Undefined where there is none. */
  openLearningData(
    source: DataSource | undefined,
    field: string,
  ): Promise<
    { readonly dataset: Dataset /** To be closed with the evaluator. */; readonly owned: boolean } | undefined
  >;
}

export interface EvaluatorOptions {
  readonly config: ModelConfig;
  readonly tasks: readonly EvaluationTask[];
  readonly corruptions?: RunSpec['evaluate']['corruptions'];
  /** Default fp32. */
  readonly compute?: ComputePrecision;
  readonly evalSamples: number;
  /** Seed of the run. */
  readonly seed: number;
}

export interface EvaluationResult {
  readonly values: Values;
  readonly results: readonly TaskResult[];
  /** On rank 0 of a final evaluation with classes; else empty. */
  readonly samples: readonly PredictionSample[];
}

/** A task with what was prepared for it. */
type Prepared =
  | { readonly task: TaskOf<'zeroshot'>; readonly classes: TaskClasses }
  | { readonly task: TaskOf<'retrieval'> }
  | { readonly task: TaskOf<'linear-probe' | 'few-shot'>; readonly learn: string };

/** Measures the present weights on the evaluation data, each rank its share; every rank calls at the same step. */
export class Evaluator {
  private constructor(
    private readonly deps: EvaluatorDeps,
    private readonly options: EvaluatorOptions,
    private readonly embedder: Embedder,
    private readonly share: EvaluationShare,
    private readonly learning: LearningData,
    private readonly tasks: readonly Prepared[],
  ) {}

  /** Throws `spec_invalid` for a task that the data cannot serve, and what reading the data throws. */
  static async create(deps: EvaluatorDeps, options: EvaluatorOptions): Promise<Evaluator> {
    const { dataset, log, group } = deps;
    const learning = new LearningData();
    const tasks: Prepared[] = [];
    for (const [i, task] of options.tasks.entries()) {
      const path = `evaluate.tasks[${i}]`;
      if (task.type === 'zeroshot') tasks.push({ task, classes: taskClasses(task, dataset.classes, path) });
      else if (task.type === 'retrieval') tasks.push({ task });
      else tasks.push({ task, learn: await openLearned(deps, learning, task, path) });
    }
    const share = new EvaluationShare(dataset, log, shareOf(Math.min(options.evalSamples, dataset.size), group));
    await share.preload(({ labels }) => {
      for (const task of tasks)
        if ('classes' in task) for (const label of labels) if (label >= 0) task.classes.indexOf(label);
    });
    const probes = tasks.some((task) => 'learn' in task);
    const { config, compute } = options;
    const embedder = await Embedder.create(deps, config, { features: probes, ...(compute && { compute }) });
    return new Evaluator(deps, options, embedder, share, learning, tasks);
  }

  async run(final: boolean, signal: AbortSignal): Promise<EvaluationResult> {
    const { embedder, share, deps } = this;
    const { engine, group, dataset } = deps;
    const embedded = await embedShare(embedder, share, signal);
    const context: TaskContext = { engine, group, embedder, dataset, embedded, seed: this.options.seed, signal };
    const results: TaskResult[] = [];
    const judged: { result: number; clean: Values; judge(images: Float32Array): Promise<Values> }[] = [];
    let samples: PredictionSample[] = [];
    for (const prepared of this.tasks) {
      const { task } = prepared;
      const { values, details, classifier, judge } = await this.runTask(prepared, context);
      if (judge !== undefined) judged.push({ result: results.length, clean: values, judge });
      results.push({ task: task.name ?? task.type, type: task.type, values, details });
      if (!final || classifier === undefined || group.rank !== 0) continue;
      const scale = Math.exp(deps.weights.logitScale);
      samples = await predictSamples({ share, embedded, classifier, scale, signal });
    }
    this.learning.forget();
    const { corruptions, seed } = this.options;
    const robust = corruptions && (await robustness({ embedder, share, corruptions, seed, signal }, judged));
    robust?.forEach(({ values, bySeverity }, i) => {
      const { result } = judged[i]!;
      const { values: clean, details, ...rest } = results[result]!;
      results[result] = { ...rest, values: { ...clean, ...values }, details: { ...details, corrupted: bySeverity } };
    });
    const values = Object.fromEntries(
      results.flatMap(({ task, values: found }) =>
        Object.entries(found).map(([figure, value]) => [`eval/${task}/${figure}`, value]),
      ),
    );
    return { values, results, samples };
  }

  async dispose(): Promise<void> {
    await this.embedder.dispose();
    await this.learning.close();
  }

  private async runTask(prepared: Prepared, context: TaskContext): Promise<TaskOutcome> {
    if ('classes' in prepared) return await zeroShotTask(context, prepared.classes);
    if (!('learn' in prepared)) return await retrievalTask(context);
    const { task, learn } = prepared;
    const data = await probeData(context, await this.learning.embed(learn, this.embedder, context.signal));
    return task.type === 'linear-probe'
      ? await linearProbeTask(context, task, data)
      : await fewShotTask(context, task, data);
  }
}

/** Opens what a task learns from, unless another task has; returns its key. */
async function openLearned(
  { group, log, openLearningData }: EvaluatorDeps,
  learning: LearningData,
  { train, trainSamples }: TaskOf<'linear-probe' | 'few-shot'>,
  path: string,
): Promise<string> {
  const key = JSON.stringify([train ?? null, trainSamples]);
  if (learning.has(key)) return key;
  const opened = await openLearningData(train, `${path}.train`);
  if (opened === undefined) {
    throw fieldError('spec_invalid', {
      path: `${path}.train`,
      message: 'is missing, and there is no training data to take its place',
      remedy: 'Name samples with classes to learn from.',
    });
  }
  const { dataset, owned } = opened;
  const range = shareOf(Math.min(trainSamples, dataset.size), group);
  const share = new EvaluationShare(dataset, log, range);
  await share.preload(() => undefined);
  learning.add(key, { share, path: train === undefined ? 'data.train' : `${path}.train`, owned });
  return key;
}
