import { fieldError, type RankStart } from '@clipyard/contracts';
import { openDataset } from '@clipyard/data';
import { type ModelConfig, parameterSpecs, parseModelConfig, resolveModelConfig } from '@clipyard/model';
import { Evaluator } from './evaluation/evaluator.js';
import { LoadedWeights } from './evaluation/loaded-weights.js';
import { openInitialWeights, startFrom } from './interchange/initial-weights.js';
import type { WeightSource } from './interchange/weight-source.js';
import type { TokenizerSource } from './tokenizer/open-tokenizer.js';
import { runTokenizer } from './tokenizer/run-tokenizer.js';
import type { TrainDeps } from './train-deps.js';

export type EvaluateDeps = Pick<TrainDeps, 'engine' | 'group' | 'store' | 'dataRoots' | 'report' | 'log'>;

/**
 * The whole life of one rank of a job of type `evaluate`: reads the weights that `model.init` names, measures them with
 * the other ranks, each its share of the samples, and reports the results. Every rank of the attempt calls it at once.
 * Of a job that keeps an average of its weights it is the average that is measured, as while it trains. Aborting `signal`
 * cuts it short.
 */
export async function evaluateRun(deps: EvaluateDeps, start: RankStart, signal: AbortSignal): Promise<void> {
  const source = await openInitialWeights(deps.store, start, signal, 'average');
  if (source === undefined) {
    throw fieldError('spec_invalid', {
      path: 'model.init',
      message: 'is missing, but an evaluation needs weights',
      remedy: 'Name a checkpoint as `job:<id>@<step>`, or a file as `file:<path>`.',
    });
  }
  try {
    await evaluateSource(deps, start, source, signal);
  } finally {
    await source.close();
  }
}

async function evaluateSource(
  { engine, group, store, dataRoots = [], report, log }: EvaluateDeps,
  start: RankStart,
  source: WeightSource,
  signal: AbortSignal,
): Promise<void> {
  const { spec, dataDir, cacheDir } = start;
  const config = configOf(spec.model, source);
  const weights = new LoadedWeights(engine, parameterSpecs(config, spec.loss.initTemperature));
  await startFrom(source, { group, log }, weights, config, signal);
  const openSource = async (): Promise<WeightSource> => source;
  const tokenizer = await runTokenizer(
    { store, log, openSource },
    { spec, checkpoints: [] },
    { config, trainData: noCaptions(spec.model.init), dataDir },
    signal,
  );
  const places = {
    dataDir,
    dataRoots,
    cacheDir,
    indexStore: store,
    indexFrom: start.rank / start.worldSize,
    imageSize: config.vision_cfg.image_size,
    seed: spec.seed,
    log,
    signal,
  };
  const dataset = await openDataset(spec.data.eval!, { ...places, field: 'data.eval' });
  try {
    const evaluator = await Evaluator.create(
      {
        engine,
        group,
        weights,
        tokenizer,
        dataset,
        log,
        openLearningData: async (from, field) => ({
          dataset: await openDataset(from ?? spec.data.train, {
            ...places,
            field: from === undefined ? 'data.train' : field,
          }),
          owned: true,
        }),
      },
      {
        config,
        tasks: spec.evaluate.tasks,
        corruptions: spec.evaluate.corruptions,
        compute: spec.precision.compute,
        evalSamples: spec.data.evalSamples,
        seed: spec.seed,
      },
    );
    try {
      report({ type: 'state', state: 'evaluating' });
      const found = await evaluator.run(true, signal);
      if (group.rank === 0) report({ type: 'evaluation', step: source.step ?? 0, final: true, ...found });
      await group.barrier({ signal });
    } finally {
      await evaluator.dispose();
    }
  } finally {
    await dataset.close();
  }
}

/** Words counted anew would have other numbers than those that the weights were trained with. */
const noCaptions = (init: string | undefined): TokenizerSource['trainData'] => ({
  captions: () => {
    throw fieldError('spec_invalid', {
      path: 'model.tokenizer',
      message: 'is `word`, and beside the weights there is no tokenizer that knows their words',
      value: init,
      remedy: 'Name weights that have their tokenizer beside them, or set it to `clip` for the vocabulary of CLIP.',
    });
  },
});

/** The model of the spec, or else the one that the weights bring. */
function configOf(model: RankStart['spec']['model'], source: WeightSource): ModelConfig {
  if (model.preset !== undefined || model.config !== undefined) return resolveModelConfig(model);
  if (source.modelConfig !== undefined) return parseModelConfig(source.modelConfig, 'model.init');
  throw fieldError('spec_invalid', {
    path: 'model',
    message: `has neither \`preset\` nor \`config\`, and there is no open_clip_config.json beside ${source.where}`,
    value: model,
    remedy: 'Name the preset or the config that the weights are of.',
  });
}
