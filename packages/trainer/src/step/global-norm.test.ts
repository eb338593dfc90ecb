import { parseRunSpec } from '@clipyard/contracts';
import { type ComputePrecision, type Engine, openEngine } from '@clipyard/engine';
import { fineTune, parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import {
  builtTensorFlow,
  expectAllClose,
  expectBitwise,
  formulaWords,
  referenceGroups,
  relativeDifference,
} from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planRun } from './run-plan.js';
import { TrainState } from './train-state.js';
import { TrainStep } from './train-step.js';

const BATCH = 24;
const SIZE = 32;
const LENGTH = 8;
const config = parseModelConfig({
  embed_dim: 16,
  vision_cfg: { image_size: SIZE, layers: [1, 2, 1, 1], width: 8, head_width: 16 },
  text_cfg: { context_length: LENGTH, vocab_size: 64, width: 16, heads: 2, layers: 1 },
});
const pixels = Uint8Array.from(formulaWords('pictures', BATCH * SIZE * SIZE * 3), (word) => (word >>> 8) % 256);
const tokens = Int32Array.from(formulaWords('captions', BATCH * LENGTH), (word, i) =>
  i % LENGTH === LENGTH - 1 ? 63 : word % 62,
);
const { loss, optimizer } = parseRunSpec({
  version: 1,
  name: 'x',
  model: { preset: 'RN50' },
  data: { train: { type: 'shapes' } },
  batch: { global: BATCH },
  duration: { steps: 1 },
});
const signal = new AbortController().signal;

interface Options {
  readonly batchNorm?: 'local' | 'global';
  readonly compute?: ComputePrecision;
  /** The image tower is not trained, but for so many of its last groups. */
  readonly unlockedGroups?: number;
  readonly steps?: number;
}

/** Loss, gradient and running statistics of the last of some steps. */
async function trainSteps(
  engine: Engine,
  worldSize: number,
  microBatches: number,
  { batchNorm = 'global', compute = 'fp32', unlockedGroups, steps = 1 }: Options = {},
) {
  const lock = {
    image: unlockedGroups !== undefined,
    imageUnlockedGroups: unlockedGroups ?? 0,
    text: false,
    textUnlockedGroups: 0,
  };
  const specs = fineTune(parameterSpecs(config), config, { lock, layerDecay: 1 });
  const layout = parameterLayout(specs);
  const running = specs.filter((spec) => spec.running).map(({ name }) => name);
  const results = await Promise.all(
    referenceGroups(worldSize).map(async (group) => {
      const { rank } = group;
      const state = new TrainState(engine, specs, layout, rank, worldSize);
      state.initialize(0);
      // The gain of a block's last norm begins at 0, and what comes before it would have no gradient.
      for (const { name } of specs) if (name.endsWith('bn3.weight')) state.view(name).fill(0.5);
      const micro = BATCH / worldSize / microBatches;
      const batch = { batch: { global: BATCH, micro }, duration: { steps } };
      const plan = { ...planRun(batch, 1000, { rank, worldSize, cutsShare: true }), keepsTapes: true };
      const stepper = await TrainStep.create(
        { engine, group, state },
        { config, plan, optimizer, loss, compute, batchNorm, seed: 0 },
      );
      const part = <T extends Uint8Array | Int32Array>(all: T): T =>
        all.subarray((rank * all.length) / worldSize, ((rank + 1) * all.length) / worldSize) as T;
      let last = 0;
      for (let step = 0; step < steps; step++)
        last = (await stepper.run({ pixels: part(pixels), tokens: part(tokens) }, 1e-3, step, signal)).loss;
      await stepper.dispose();
      const statistics = Object.fromEntries(running.map((name) => [name, state.view(name).slice()]));
      return { loss: last, statistics, parameters: state.parameters.slice(), slice: state.sliceGradients.slice() };
    }),
  );
  const [first, ...others] = results;
  for (const { parameters, statistics } of others) {
    expectBitwise(parameters, first!.parameters);
    for (const name of running) expectBitwise(statistics[name]!, first!.statistics[name]!);
  }
  const flat = Float32Array.from(results.flatMap(({ slice }) => [...slice]));
  return { ...first!, gradients: layout.views(flat.subarray(0, layout.total)) };
}

const built = builtTensorFlow();
const ENGINES = ['onnxruntime', ...('missing' in built ? [] : ['tensorflow' as const])] as const;

const SPLITS = [1, 2, 4].flatMap((worldSize) => [1, 3].map((microBatches) => [worldSize, microBatches] as const));

describe.each(ENGINES)('batch norm over the global batch on %s', (name) => {
  let engine: Engine;
  let whole: Awaited<ReturnType<typeof trainSteps>>;
  beforeAll(async () => {
    engine = await openEngine({ engine: name, threads: 1, ...('missing' in built ? {} : built) });
    whole = await trainSteps(engine, 1, 1, { batchNorm: 'local' });
  });
  afterAll(() => engine.close());

  it.each(SPLITS)(
    'on %i ranks with %i micro-batches gives the loss, gradients and running statistics of one batch on one',
    async (worldSize, microBatches) => {
      const split = await trainSteps(engine, worldSize, microBatches);
      expect(split.loss / whole.loss).toBeCloseTo(1, 5);
      for (const [parameter, gradient] of Object.entries(whole.gradients)) {
        // The bias of keys shifts all logits of a softmax alike: its gradient is rounding.
        if (parameter.endsWith('k_proj.bias')) continue;
        expect(relativeDifference(gradient, split.gradients[parameter]!), parameter).toBeLessThan(1e-4);
      }
      for (const [buffer, values] of Object.entries(whole.statistics))
        expectAllClose(split.statistics[buffer]!, values, { rtol: 1e-5, atol: 1e-6 });
    },
  );

  it('is not what micro-batches with statistics of their own give', async () => {
    const local = await trainSteps(engine, 2, 3, { batchNorm: 'local' });
    const parameter = 'visual.layer1.0.conv1.weight';
    expect(relativeDifference(whole.gradients[parameter]!, local.gradients[parameter]!)).toBeGreaterThan(0.05);
  });

  it('gives the same bits again, on as many ranks', async () => {
    const [first, second] = [
      await trainSteps(engine, 2, 3, { steps: 3 }),
      await trainSteps(engine, 2, 3, { steps: 3 }),
    ];
    expect(second.loss).toBe(first!.loss);
    expectBitwise(second.parameters, first!.parameters);
    for (const [buffer, values] of Object.entries(first!.statistics)) expectBitwise(second.statistics[buffer]!, values);
  });

  it.each([0, 2])('below %i groups of a locked tower goes forward only', async (unlockedGroups) => {
    const expected = await trainSteps(engine, 1, 1, { batchNorm: 'local', unlockedGroups });
    const split = await trainSteps(engine, 2, 3, { unlockedGroups });
    expect(Object.keys(split.gradients).some((name) => name.startsWith('visual.layer4'))).toBe(unlockedGroups > 0);
    for (const [parameter, gradient] of Object.entries(expected.gradients)) {
      if (parameter.endsWith('k_proj.bias')) continue;
      expect(relativeDifference(gradient, split.gradients[parameter]!), parameter).toBeLessThan(1e-4);
    }
    for (const [buffer, values] of Object.entries(expected.statistics))
      expectAllClose(split.statistics[buffer]!, values, { rtol: 1e-5, atol: 1e-6 });
  });

  it.each(['bf16', 'fp16'] as const)('with products of %s splits as well', async (compute) => {
    const expected = await trainSteps(engine, 1, 1, { batchNorm: 'local', compute });
    const split = await trainSteps(engine, 2, 3, { compute });
    // Two roundings of 8 bits that fall apart are further apart than two of float32.
    expect(split.loss / expected.loss).toBeCloseTo(1, 2);
  });
});
