import { parseRunSpec } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { checkModel, configForLoss, type ModelConfig, parameterSpecs, runParameters } from '@clipyard/model';
import { expectAllClose, formulaValues, formulaWords, relativeDifference } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TeacherWeights } from './teacher.js';
import { formulaPixels, stepEngines, type TestResult, trainSteps } from './test-steps.js';
import type { TrainState } from './train-state.js';

const BATCH = 8;
const STEPS = 3;
const LENGTH = 12;
const WORDS = 60;

/** Small in every way, but with blocks to form again and patches to leave out. */
const VIT: ModelConfig = {
  embed_dim: 16,
  quick_gelu: true,
  vision_cfg: { image_size: 32, layers: 2, width: 16, patch_size: 8, head_width: 8, mlp_ratio: 4 },
  text_cfg: { context_length: LENGTH, vocab_size: WORDS, width: 16, heads: 2, layers: 2, mlp_ratio: 4 },
};
const RESNET: ModelConfig = {
  ...VIT,
  vision_cfg: { image_size: 64, layers: [1, 2, 1, 1], width: 8, head_width: 32 },
};

interface Switch {
  readonly name: string;
  readonly config?: ModelConfig;
  readonly spec?: Readonly<Record<string, object>>;
  /** Samples of a micro-batch. */
  readonly micro?: number;
  /** Whether a run of the same model computes the same losses without it, but for rounding; default: it does not. */
  readonly neutral?: boolean;
  /** How far losses of two engines may be apart, relative; default 2e-6. */
  readonly losses?: number;
  /** How far what the steps changed may be, relative to all of it; default 5e-4: Adam divides by small gradients. */
  readonly changes?: number;
}

/** A rounding that falls the other way moves a product by 2^-9 or 2^-11 of its operand. */
const ROUNDED = { losses: 1e-3, changes: 0.1 };
/** The norms of few places are steeper. */
const OF_RESNET = { config: RESNET, losses: 2e-5, changes: 5e-3 };

const SWITCHES: readonly Switch[] = [
  { name: 'none', neutral: true },
  { name: 'micro-batches', micro: 2, neutral: true },
  { name: 'checkpointBlocks', spec: { memory: { checkpointBlocks: true } }, neutral: true },
  { name: 'MLP projection', spec: { model: { projection: { type: 'mlp', hidden: 24 } } } },
  { name: 'patchDropout', spec: { model: { patchDropout: 0.5 } } },
  { name: 'lock', spec: { model: { lock: { image: true, imageUnlockedGroups: 1 } } } },
  { name: 'siglip', spec: { loss: { type: 'siglip' } } },
  { name: 'labelSmoothing', spec: { loss: { labelSmoothing: 0.1 } } },
  { name: 'maskDuplicates', spec: { loss: { maskDuplicates: 'caption' } } },
  { name: 'distillation', spec: { loss: { distill: { from: 'job:teacher@1', temperature: 2 } } } },
  { name: 'compute bf16', spec: { precision: { compute: 'bf16' } }, ...ROUNDED },
  { name: 'compute fp16', spec: { precision: { compute: 'fp16' } }, ...ROUNDED },
  { name: 'textWeights bf16', spec: { precision: { textWeights: 'bf16' } } },
  { name: 'textWeights fp16', spec: { precision: { textWeights: 'fp16' } } },
  { name: 'momentDtype bf16', spec: { optimizer: { momentDtype: 'bf16' } } },
  { name: 'momentDtype fp16', spec: { optimizer: { momentDtype: 'fp16' } } },
  { name: 'layerDecay', spec: { optimizer: { layerDecay: 0.5 } } },
  { name: 'clipNorm', spec: { optimizer: { clipNorm: 0.01 } } },
  { name: 'emaDecay', spec: { optimizer: { emaDecay: 0.5 } }, neutral: true },
  {
    name: 'attention pooling, text of its own',
    config: {
      ...VIT,
      custom_text: true,
      vision_cfg: {
        ...VIT.vision_cfg,
        attentional_pool: true,
        attn_pooler_queries: 4,
        attn_pooler_heads: 2,
      } as ModelConfig['vision_cfg'],
      text_cfg: { ...VIT.text_cfg, no_causal_mask: true, pool_type: 'last', proj_bias: true },
    },
  },
  { name: 'ResNet', ...OF_RESNET, neutral: true },
  { name: 'ResNet, checkpointBlocks', ...OF_RESNET, spec: { memory: { checkpointBlocks: true } }, neutral: true },
  {
    name: 'ResNet, batchNorm global over micro-batches',
    ...OF_RESNET,
    spec: { model: { batchNorm: 'global' }, memory: { checkpointBlocks: true } },
    micro: 4,
    neutral: true,
  },
  { name: 'ResNet, MLP projection', ...OF_RESNET, spec: { model: { projection: { type: 'mlp', hidden: 24 } } } },
  { name: 'ResNet, siglip', ...OF_RESNET, spec: { loss: { type: 'siglip' } } },
  { name: 'ResNet, compute bf16', ...OF_RESNET, spec: { precision: { compute: 'bf16' } }, losses: 3e-2, changes: 0.3 },
];

/** Rows 0 and 3 are the same caption. */
const tokens = Int32Array.from(formulaWords('tokens', BATCH * LENGTH), (word) => 1 + (word % (WORDS - 4)));
for (let row = 0; row < BATCH; row++) tokens[row * LENGTH + 4 + row] = WORDS - 1;
tokens.copyWithin(3 * LENGTH, 0, LENGTH);

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

function run(engine: Engine, { config: model = VIT, spec: changes, micro }: Switch): Promise<TestResult> {
  const spec = parseRunSpec({
    version: 1,
    name: 'switch',
    data: { train: { type: 'shapes' } },
    batch: { global: BATCH },
    duration: { steps: STEPS },
    ...changes,
    model: { config: model, ...changes?.model },
    optimizer: { lr: 1e-3, ...changes?.optimizer },
  });
  const config = configForLoss(checkModel(spec.model), spec.loss);
  const { momentDtype, emaDecay } = spec.optimizer;
  const { image_size: size } = config.vision_cfg;
  return trainSteps(engine, {
    config,
    specs: runParameters(spec, config),
    batches: Array.from({ length: STEPS }, (_, i) => ({ pixels: formulaPixels(`pictures ${i}`, BATCH, size), tokens })),
    optimizer: spec.optimizer,
    loss: spec.loss,
    micro,
    batchNorm: spec.model.batchNorm,
    keepsTapes: spec.model.batchNorm === 'global' || undefined,
    compute: spec.precision.compute,
    checkpointBlocks: spec.memory.checkpointBlocks,
    teacher: 'distill' in spec.loss && spec.loss.distill !== undefined ? teacherOf(VIT) : undefined,
    stored: { momentDtype, averages: emaDecay !== null },
    initialize,
  });
}

/** What the steps changed, running statistics and the average of the weights included. */
const changes = ({ initial, parameters, statistics, state }: TestResult): Record<string, Float32Array> => ({
  parameters: parameters.map((value, i) => value - initial[i]!),
  ...(state.sliceAverage && { average: state.sliceAverage.map((value, i) => value - (initial[i] ?? 0)) }),
  ...statistics.at(-1),
});

const engines = stepEngines();
const OTHERS = engines.names.filter((name) => name !== 'onnxruntime');

describe('every switch of a train step', () => {
  const opened = new Map<string, Engine>();
  const results = new Map<string, Promise<TestResult>>();
  beforeAll(async () => {
    for (const name of ['onnxruntime', ...OTHERS] as const) opened.set(name, await engines.open(name));
  });
  afterAll(() => Promise.all([...opened.values()].map((engine) => engine.close())));
  /** On onnxruntime, once. */
  const expected = (one: Switch): Promise<TestResult> => {
    const result = results.get(one.name) ?? run(opened.get('onnxruntime')!, one);
    results.set(one.name, result);
    return result;
  };

  describe.each(SWITCHES)('$name', (one) => {
    it.each(OTHERS)('computes on %s what it computes on onnxruntime', async (name) => {
      const [ours, theirs] = [await expected(one), await run(opened.get(name)!, one)];
      expectAllClose(theirs.losses, ours.losses, { rtol: one.losses ?? 2e-6 });
      for (const [what, values] of Object.entries(changes(ours)))
        expect(relativeDifference(changes(theirs)[what]!, values), what).toBeLessThan(one.changes ?? 5e-4);
    });

    it(`changes ${one.neutral ? 'nothing but rounding' : 'what is computed'}`, async () => {
      const plain = SWITCHES.find(({ name }) => name === (one.config === RESNET ? 'ResNet' : 'none'))!;
      const [ours, without] = [await expected(one), await expected(plain)];
      const [changed, otherwise] = [changes(ours).parameters!, changes(without).parameters!];
      if (one.neutral) expectAllClose(ours.losses, without.losses, { rtol: one.losses ?? 1e-6 });
      else if (changed.length === otherwise.length)
        expect(relativeDifference(changed, otherwise)).toBeGreaterThan(1e-4);
    });
  });
});
