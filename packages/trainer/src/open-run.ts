import { ClipyardError, type RankStart } from '@clipyard/contracts';
import { type BadSample, BatchLoader, CLIP_PIXEL_STATISTICS, type Dataset, openDataset, Sampler } from '@clipyard/data';
import {
  checkModel,
  configForLoss,
  isResNet,
  type ModelConfig,
  type ParameterSpec,
  parameterLayout,
  runParameters,
  type Tokenizer,
} from '@clipyard/model';
import { modelHashOf } from './checkpoint/checkpoint-format.js';
import { checkSameTokenizer } from './checkpoint/saved-tokenizer.js';
import { Evaluator } from './evaluation/evaluator.js';
import { openInitialWeights } from './interchange/initial-weights.js';
import { openTeacher } from './interchange/open-teacher.js';
import type { WeightSource } from './interchange/weight-source.js';
import { AveragedWeights } from './step/averaged-weights.js';
import { planRun, type RunPlan } from './step/run-plan.js';
import { TrainState } from './step/train-state.js';
import { TrainStep } from './step/train-step.js';
import { runTokenizer } from './tokenizer/run-tokenizer.js';
import type { TrainDeps } from './train-deps.js';
import type { TrainLog } from './train-log.js';

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
  /** Of the weights, which is evaluated instead of them; undefined where none is kept. */
  readonly averaged: AveragedWeights | undefined;
  readonly stepper: TrainStep;
  /** Undefined where there is nothing to measure, or others do. */
  readonly evaluator: Evaluator | undefined;
  readonly loader: BatchLoader;
  /** Opens the weights that the run starts from, once; undefined: initial ones. */
  openSource(): Promise<WeightSource | undefined>;
}

/** Cuts nothing short: a rank that is stopped while it opens its run ends by itself. */
const NEVER = new AbortController().signal;

/** Opens the data and compiles every program of a run. */
export async function openRun(
  deps: Pick<TrainDeps, 'engine' | 'group' | 'store' | 'dataRoots' | 'log'>,
  start: RankStart,
): Promise<RunParts> {
  const { engine, group, store, dataRoots = [], log } = deps;
  const { spec } = start;
  const config = configForLoss(checkModel(spec.model), spec.loss);
  const specs = runParameters(spec, config);
  const layout = parameterLayout(specs);
  const modelHash = modelHashOf(specs);
  const places = {
    dataDir: start.dataDir,
    dataRoots,
    cacheDir: start.cacheDir,
    indexStore: store,
    indexFrom: start.rank / start.worldSize,
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
  let source: Promise<WeightSource | undefined> | undefined;
  const openSource = () => (source ??= openInitialWeights(store, start, NEVER));
  const tokenizer = await runTokenizer(
    { store, log, openSource },
    start,
    { config, trainData, dataDir: start.dataDir },
    NEVER,
  );
  await checkSameTokenizer(group, tokenizer, NEVER);
  const plan = planRun(spec, trainData.size, {
    rank: start.rank,
    worldSize: start.worldSize,
    cutsShare: engine.device === 'cpu' && (!isResNet(config.vision_cfg) || spec.model.batchNorm === 'global'),
  });

  const { emaDecay, momentDtype } = spec.optimizer;
  const averages = emaDecay !== null;
  const state = new TrainState(engine, specs, layout, start.rank, start.worldSize, { momentDtype, averages });
  const averaged = averages ? new AveragedWeights(engine, state) : undefined;
  const teacher = await openTeacher({ engine, group, store, log }, start, { config, tokenizer }, NEVER);
  const stepper = await TrainStep.create(
    { engine, group, state },
    {
      config,
      plan,
      optimizer: spec.optimizer,
      loss: spec.loss,
      teacher,
      compute: spec.precision.compute,
      checkpointBlocks: spec.memory.checkpointBlocks,
      batchNorm: spec.model.batchNorm,
      seed: spec.seed,
    },
  );
  const { tasks, corruptions, mode } = spec.evaluate;
  const evaluator =
    evalData === undefined || tasks.length === 0 || mode === 'separate'
      ? undefined
      : await Evaluator.create(
          {
            engine,
            group,
            weights: averaged ?? state,
            tokenizer,
            dataset: evalData,
            log,
            openLearningData: async (source, field) =>
              source === undefined
                ? { dataset: trainData, owned: false }
                : { dataset: await openDataset(source, { ...places, field }), owned: true },
          },
          { config, tasks, corruptions, evalSamples: spec.data.evalSamples, seed: spec.seed },
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
      contextLength: config.text_cfg.context_length,
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
    averaged,
    stepper,
    evaluator,
    loader,
    openSource,
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
