import type { Engine } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import { expectAllClose, relativeDifference } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SMALL_VIT, specSteps } from './test-spec-steps.js';
import { stepEngines, type TestResult } from './test-steps.js';

const BATCH = 8;
const STEPS = 3;
const RESNET: ModelConfig = {
  ...SMALL_VIT,
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
      ...SMALL_VIT,
      custom_text: true,
      vision_cfg: {
        ...SMALL_VIT.vision_cfg,
        attentional_pool: true,
        attn_pooler_queries: 4,
        attn_pooler_heads: 2,
      } as ModelConfig['vision_cfg'],
      text_cfg: { ...SMALL_VIT.text_cfg, no_causal_mask: true, pool_type: 'last', proj_bias: true },
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

const run = (engine: Engine, { config, spec, micro }: Switch): Promise<TestResult> =>
  specSteps(engine, { config, spec, micro, batch: BATCH, steps: STEPS });

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
