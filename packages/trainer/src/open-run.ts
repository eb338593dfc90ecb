import { createHash } from 'node:crypto';
import { ClipyardError, type RankStart } from '@clipyard/contracts';
import { type BadSample, BatchLoader, CLIP_PIXEL_STATISTICS, type Dataset, openDataset, Sampler } from '@clipyard/data';
import {
  buildWordTokenizer,
  type ModelConfig,
  type ParameterSpec,
  parameterLayout,
  parameterSpecs,
  resolveModelConfig,
  type Tokenizer,
} from '@clipyard/model';
import { Evaluator } from './evaluation/evaluator.js';
import { planRun, type RunPlan } from './step/run-plan.js';
import { TrainState } from './step/train-state.js';
import { TrainStep } from './step/train-step.js';
import type { TrainDeps } from './train-deps.js';
import type { TrainLog } from './train-log.js';

/** Captions that the vocabulary is counted from at most. */
const VOCABULARY_CAPTIONS = 200_000;

/** Batches that are read ahead of the step at hand. */
const PREFETCH_STEPS = 2;

/** What a run is made of, once its data is open and its programs are compiled. */
export interface RunParts {
  readonly config: ModelConfig;
  readonly specs: readonly ParameterSpec[];
  readonly modelHash: string;
  readonly trainData: Dataset;
  readonly evalData: Dataset | undefined;
  readonly tokenizer: Tokenizer;
  readonly plan: RunPlan;
  readonly state: TrainState;
  readonly stepper: TrainStep;
  readonly evaluator: Evaluator | undefined;
  readonly loader: BatchLoader;
}

/** Opens the data and compiles every program of a run. */
export async function openRun(deps: Pick<TrainDeps, 'engine' | 'group' | 'log'>, start: RankStart): Promise<RunParts> {
  const { engine, group, log } = deps;
  const { spec } = start;
  const config = resolveModelConfig(spec.model);
  const specs = parameterSpecs(config, spec.loss.initTemperature);
  const layout = parameterLayout(specs);
  const modelHash = createHash('sha256')
    .update(JSON.stringify(specs.map(({ name, shape }) => [name, shape])))
    .digest('hex');
  const places = {
    dataDir: start.dataDir,
    cacheDir: start.cacheDir,
    imageSize: config.vision_cfg.image_size,
    seed: spec.seed,
    log,
  };
  const trainData = await openDataset(spec.data.train, {
    ...places,
    augment: spec.data.augment,
    field: 'data.train',
  });
  const evalData =
    spec.data.eval === undefined ? undefined : await openDataset(spec.data.eval, { ...places, field: 'data.eval' });
  const { vocab_size: vocabSize, context_length: contextLength } = config.text_cfg;
  const tokenizer = await buildWordTokenizer(trainData.captions({ limit: VOCABULARY_CAPTIONS }), {
    vocabSize,
    contextLength,
  });
  const plan = planRun(spec, trainData.size, { rank: start.rank, worldSize: start.worldSize, device: engine.device });

  const state = new TrainState(engine, specs, layout, start.rank, start.worldSize);
  const stepper = await TrainStep.create(
    { engine, group, state },
    { config, plan, optimizer: spec.optimizer, maxLogitScale: spec.loss.maxLogitScale },
  );
  const { tasks } = spec.evaluate;
  const evaluator =
    evalData === undefined || tasks.length === 0
      ? undefined
      : await Evaluator.create(
          { engine, group, weights: state, tokenizer, dataset: evalData, log },
          { config, tasks, evalSamples: spec.data.evalSamples },
        );
  const loader = new BatchLoader(
    {
      dataset: trainData,
      sampler: new Sampler({ size: trainData.size, seed: spec.seed, shardSizes: trainData.shardSizes }),
      tokenize: (caption) => tokenizer.encode(caption),
      onBadSample: reportBadSample(log),
    },
    {
      ...CLIP_PIXEL_STATISTICS,
      globalBatch: plan.globalBatch,
      worldSize: plan.worldSize,
      rank: plan.rank,
      contextLength,
      prefetch: PREFETCH_STEPS,
      maxBadFraction: 'maxBadFraction' in spec.data.train ? spec.data.train.maxBadFraction : 0,
      seed: spec.seed,
      totalSteps: plan.totalSteps,
    },
  );
  return {
    config,
    specs,
    modelHash,
    trainData,
    evalData,
    tokenizer,
    plan,
    state,
    stepper,
    evaluator,
    loader,
  };
}

const reportBadSample =
  (log: TrainLog) =>
  ({ index, position, error }: BadSample): void =>
    log('warn', `Sample ${index} is skipped: ${ClipyardError.from(error).message}`, {
      code: error.code,
      index,
      position,
    });
