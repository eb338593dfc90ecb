import { parseRunSpec } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { checkModel, configForLoss, type ModelConfig, parameterSpecs, runParameters } from '@clipyard/model';
import { formulaValues, formulaWords } from '@clipyard/testkit';
import type { TeacherWeights } from './teacher.js';
import { formulaPixels, type TestResult, trainSteps } from './test-steps.js';
import type { TrainState } from './train-state.js';

/** Train steps of a small model as a run spec asks for them, on data by formula, for tests. */

const LENGTH = 12;
const WORDS = 60;

/** Small in every way, but with blocks to form again and patches to leave out. */
export const SMALL_VIT: ModelConfig = {
  embed_dim: 16,
  quick_gelu: true,
  vision_cfg: { image_size: 32, layers: 2, width: 16, patch_size: 8, head_width: 8, mlp_ratio: 4 },
  text_cfg: { context_length: LENGTH, vocab_size: WORDS, width: 16, heads: 2, layers: 2, mlp_ratio: 4 },
};
export interface SpecSteps {
  /** Default: `SMALL_VIT`. Its text tower must be that one's. */
  readonly config?: ModelConfig | undefined;
  /** Sections of the run spec. */
  readonly spec?: Readonly<Record<string, object>> | undefined;
  /** Samples of the global batch, from 4 to 12. */
  readonly batch: number;
  readonly steps: number;
  /** Samples of a micro-batch; default: all of a rank. */
  readonly micro?: number | undefined;
  /** Default 1. */
  readonly worldSize?: number;
}

export function specSteps(engine: Engine, given: SpecSteps): Promise<TestResult> {
  const { config: model = SMALL_VIT, spec: changes, batch, steps, micro, worldSize = 1 } = given;
  const spec = parseRunSpec({
    version: 1,
    name: 'switch',
    data: { train: { type: 'shapes' } },
    batch: { global: batch },
    duration: { steps },
    ...changes,
    model: { config: model, ...changes?.model },
    optimizer: { lr: 1e-3, ...changes?.optimizer },
  });
  const config = configForLoss(checkModel(spec.model), spec.loss);
  const { momentDtype, emaDecay } = spec.optimizer;
  const { image_size: size } = config.vision_cfg;
  const tokens = captions(batch);
  return trainSteps(engine, {
    config,
    specs: runParameters(spec, config),
    batches: Array.from({ length: steps }, (_, i) => ({ pixels: formulaPixels(`pictures ${i}`, batch, size), tokens })),
    optimizer: spec.optimizer,
    loss: spec.loss,
    worldSize,
    micro,
    batchNorm: spec.model.batchNorm,
    keepsTapes: spec.model.batchNorm === 'global' || undefined,
    compute: spec.precision.compute,
    checkpointBlocks: spec.memory.checkpointBlocks,
    teacher: 'distill' in spec.loss && spec.loss.distill !== undefined ? teacherOf(SMALL_VIT) : undefined,
    stored: { momentDtype, averages: emaDecay !== null },
    initialize,
  });
}

/** Tokens [batch,LENGTH]; rows 0 and 3 are the same caption. */
function captions(batch: number): Int32Array {
  const tokens = Int32Array.from(formulaWords('tokens', batch * LENGTH), (word) => 1 + (word % (WORDS - 4)));
  for (let row = 0; row < batch; row++) tokens[row * LENGTH + 4 + (row % (LENGTH - 4))] = WORDS - 1;
  tokens.copyWithin(3 * LENGTH, 0, LENGTH);
  return tokens;
}

function initialize(state: TrainState): void {
  for (const { name, init } of state.specs) {
    const view = state.view(name);
    const [scale, offset] = init.type === 'constant' ? [0.1, init.value] : [0.125, 0];
    view.set(formulaValues(name, view.length, name.startsWith('logit_') ? 0 : scale, offset));
  }
  state.startFromWeights(0);
}

function teacherOf(config: ModelConfig): TeacherWeights {
  const specs = parameterSpecs(config);
  const { logit_scale: logitScale, ...towerViews } = Object.fromEntries(
    specs.map(({ name, shape, init }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const [scale, offset] = init.type === 'constant' ? [0, init.value] : [0.125, 0];
      return [name, formulaValues(`teacher ${name}`, size, scale, offset)];
    }),
  );
  return { config, specs, towerViews, logitScale: logitScale![0]! };
}
