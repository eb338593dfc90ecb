import { parseRunSpec } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { fineTune, parameterSpecs, parseModelConfig } from '@clipyard/model';
import { expectAllClose, expectBitwise, formulaWords, relativeDifference } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formulaPixels, trainSteps as runSteps, stepEngines, type TestResult, type TestSteps } from './test-steps.js';

const BATCH = 24;
const SIZE = 32;
const LENGTH = 8;
const config = parseModelConfig({
  embed_dim: 16,
  vision_cfg: { image_size: SIZE, layers: [1, 2, 1, 1], width: 8, head_width: 16 },
  text_cfg: { context_length: LENGTH, vocab_size: 64, width: 16, heads: 2, layers: 1 },
});
const pixels = formulaPixels('pictures', BATCH, SIZE);
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

interface Options extends Pick<TestSteps, 'batchNorm' | 'compute' | 'checkpointBlocks'> {
  /** The image tower is not trained, but for so many of its last groups. */
  readonly unlockedGroups?: number;
  readonly steps?: number;
}

function trainSteps(
  engine: Engine,
  worldSize: number,
  microBatches: number,
  { batchNorm = 'global', unlockedGroups, steps = 1, ...options }: Options = {},
): Promise<TestResult> {
  const unlocked = { imageUnlockedGroups: unlockedGroups ?? 0, textUnlockedGroups: 0 };
  const lock = { image: unlockedGroups !== undefined, text: false, ...unlocked };
  const specs = fineTune(parameterSpecs(config), config, { lock, layerDecay: 1 });
  return runSteps(engine, {
    config,
    specs,
    batches: new Array(steps).fill({ pixels, tokens }),
    optimizer: { ...optimizer, lr: 1e-3 },
    loss,
    worldSize,
    micro: BATCH / worldSize / microBatches,
    keepsTapes: true,
    batchNorm,
    ...options,
    initialize: (state) => {
      state.initialize(0);
      // The gain of a block's last norm begins at 0, and what comes before it would have no gradient.
      for (const { name } of specs) if (name.endsWith('bn3.weight')) state.view(name).fill(0.5);
    },
  });
}

/** But for the bias of keys, which shifts all logits of a softmax alike: its gradient is rounding. */
function expectGradients(actual: TestResult, expected: TestResult): void {
  for (const [parameter, gradient] of Object.entries(expected.gradients)) {
    if (parameter.endsWith('k_proj.bias')) continue;
    expect(relativeDifference(gradient, actual.gradients[parameter]!), parameter).toBeLessThan(1e-4);
  }
}

function expectStatistics(actual: TestResult, expected: TestResult): void {
  for (const [buffer, values] of Object.entries(expected.statistics.at(-1)!))
    expectAllClose(actual.statistics.at(-1)![buffer]!, values, { rtol: 1e-5, atol: 1e-6 });
}

const engines = stepEngines();
const SPLITS = [1, 2, 4].flatMap((worldSize) => [1, 3].map((microBatches) => [worldSize, microBatches] as const));

describe.each(engines.names)('batch norm over the global batch on %s', (name) => {
  let engine: Engine;
  let whole: TestResult;
  beforeAll(async () => {
    engine = await engines.open(name);
    whole = await trainSteps(engine, 1, 1, { batchNorm: 'local' });
  });
  afterAll(() => engine.close());

  it.each(SPLITS)(
    'on %i ranks with %i micro-batches gives the loss, gradients and running statistics of one batch on one',
    async (worldSize, microBatches) => {
      const split = await trainSteps(engine, worldSize, microBatches);
      expect(split.losses[0]! / whole.losses[0]!).toBeCloseTo(1, 5);
      expectGradients(split, whole);
      expectStatistics(split, whole);
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
    expect(second.losses).toEqual(first.losses);
    expectBitwise(second.parameters, first.parameters);
    for (const [buffer, values] of Object.entries(first.statistics.at(-1)!))
      expectBitwise(second.statistics.at(-1)![buffer]!, values);
  });

  it.each([
    [1, 1],
    [2, 3],
  ])(
    'on %i ranks with %i micro-batches gives the same where blocks are formed again',
    async (worldSize, microBatches) => {
      const split = await trainSteps(engine, worldSize, microBatches, { checkpointBlocks: true });
      expectGradients(split, whole);
      expectStatistics(split, whole);
    },
  );

  it('refuses a batch that leaves a norm one row', async () => {
    const [row, caption] = [pixels.subarray(0, SIZE * SIZE * 3), tokens.subarray(0, LENGTH)];
    const one = runSteps(engine, {
      config,
      specs: parameterSpecs(config),
      batches: [{ pixels: row, tokens: caption }],
      optimizer: { ...optimizer, lr: 1e-3 },
      loss,
      batchNorm: 'global',
      initialize: (state) => state.initialize(0),
    });
    await expect(one).rejects.toMatchObject({ code: 'spec_invalid', fields: [{ path: 'batch.global', value: 1 }] });
  });

  it.each([0, 2])('below %i groups of a locked tower goes forward only', async (unlockedGroups) => {
    const expected = await trainSteps(engine, 1, 1, { batchNorm: 'local', unlockedGroups });
    const split = await trainSteps(engine, 2, 3, { unlockedGroups });
    expect(Object.keys(split.gradients).some((name) => name.startsWith('visual.layer4'))).toBe(unlockedGroups > 0);
    expectGradients(split, expected);
    expectStatistics(split, expected);
  });

  it.each(['bf16', 'fp16'] as const)('with products of %s splits as well', async (compute) => {
    const expected = await trainSteps(engine, 1, 1, { batchNorm: 'local', compute });
    const split = await trainSteps(engine, 2, 3, { compute });
    // Two roundings of 8 bits that fall apart are further apart than two of float32.
    expect(split.losses[0]! / expected.losses[0]!).toBeCloseTo(1, 2);
  });
});
