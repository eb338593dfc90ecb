import { readFileSync } from 'node:fs';
import type { RunSpec } from '@clipyard/contracts';
import type { Engine, OnCompile } from '@clipyard/engine';
import { type ModelConfig, parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import { expectAllClose, expectBitwise, formulaValues, relativeDifference } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TeacherWeights } from './teacher.js';
import { formulaPixels, trainSteps as runSteps, stepEngines, type TestSteps } from './test-steps.js';
import type { TrainState } from './train-state.js';

interface Fixture {
  config: unknown;
  adamw: { lr: number; betas: [number, number]; eps: number; weightDecay: number };
  tokens: number[][];
  losses: number[];
  parameters: Record<
    string,
    {
      shape: number[];
      scale: number;
      offset: number;
      after1: { first: number[]; changeNorm: number };
      after3: { first: number[]; changeNorm: number };
    }
  >;
}

// Made by scripts/reference/make_clip_tiny_fixture.py with PyTorch and open_clip, whose versions stand in the file.
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../../model/src/fixtures/clip-tiny-torch.json', import.meta.url), 'utf8'),
);
const wholeConfig: ModelConfig = parseModelConfig(fixture.config);
const BATCH = 8;
const SIZE = wholeConfig.vision_cfg.image_size;
const pixels = formulaPixels('images', BATCH, SIZE);
const tokens = Int32Array.from(fixture.tokens.flat());

const siglipFixture: {
  initLogitBias: number;
  losses: number[];
  logitScales: number[];
  logitBiases: number[];
  changeNorms: Record<string, number>;
} = JSON.parse(
  readFileSync(new URL('../../../model/src/fixtures/clip-tiny-siglip-torch.json', import.meta.url), 'utf8'),
);

const CLIP: RunSpec['loss'] = {
  type: 'clip',
  initTemperature: 0.07,
  maxLogitScale: 100,
  labelSmoothing: 0,
  maskDuplicates: 'none',
};
const SIGLIP: RunSpec['loss'] = {
  type: 'siglip',
  initTemperature: 0.1,
  initLogitBias: siglipFixture.initLogitBias,
  maxLogitScale: 100,
  maskDuplicates: 'none',
};

const specs = parameterSpecs(wholeConfig);
const layout = parameterLayout(specs);

/** Those of the model that a loss trains. */
const specsFor = (loss: RunSpec['loss']) =>
  loss.type === 'siglip' ? parameterSpecs({ ...wholeConfig, init_logit_bias: loss.initLogitBias }) : specs;

function formulaParameters(state: TrainState): void {
  for (const [name, { scale, offset }] of Object.entries(fixture.parameters)) {
    const view = state.layout.view(state.parameters, name);
    view.set(formulaValues(name, view.length, scale, offset));
  }
  if (state.specs.some(({ name }) => name === 'logit_bias'))
    state.layout.view(state.parameters, 'logit_bias')[0] = siglipFixture.initLogitBias;
}

/** Of another embedding dimension and depth than the student. */
function teacherWeights(): TeacherWeights {
  const { vision_cfg: vision, text_cfg: text } = wholeConfig;
  const of: ModelConfig = {
    ...wholeConfig,
    embed_dim: 64,
    vision_cfg: { ...vision, layers: 1 } as ModelConfig['vision_cfg'],
    text_cfg: { ...text, layers: 1 },
  };
  const specs = parameterSpecs(of);
  const views = specs.map(({ name, shape, init }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const [scale, offset] = init.type === 'constant' ? [0, init.value] : [0.125, 0];
    return [name, formulaValues(`teacher ${name}`, size, scale, offset)] as const;
  });
  const { logit_scale: logitScale, ...towerViews } = Object.fromEntries(views);
  return { config: of, specs, towerViews, logitScale: logitScale![0]! };
}

interface StepOptions extends Pick<TestSteps, 'keepsTapes' | 'compute' | 'checkpointBlocks' | 'teacher'> {
  readonly config?: ModelConfig;
  readonly loss?: RunSpec['loss'];
  /** [B,t]. */
  readonly captions?: Int32Array;
}

/** Runs `steps` steps on the same batch on W ranks and returns rank 0's weights and the losses. */
function trainSteps(engine: Engine, worldSize: number, micro: number, steps: number, options: StepOptions = {}) {
  const { config = wholeConfig, loss = CLIP, captions = tokens } = options;
  return runSteps(engine, {
    ...options,
    config,
    specs: specsFor(loss),
    batches: Array.from({ length: steps }, () => ({ pixels, tokens: captions })),
    optimizer: fixture.adamw,
    loss,
    worldSize,
    micro,
    initialize: formulaParameters,
  });
}

const engines = stepEngines();

describe.each(engines.names)('the train step on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name);
  });
  afterAll(() => engine.close());

  it.each([
    [1, 8],
    [2, 4],
    [2, 2],
  ])(
    "equals PyTorch's and open_clip's on %i ranks with micro-batches of %i: losses and weights after 1 and 3 steps",
    async (worldSize, micro) => {
      for (const steps of [1, 3] as const) {
        const { losses, initial, parameters } = await trainSteps(engine, worldSize, micro, steps);
        expectAllClose(losses, fixture.losses.slice(0, steps), { rtol: 2e-5 });
        for (const [name, expected] of Object.entries(fixture.parameters)) {
          const { first, changeNorm } = expected[`after${steps}`];
          const weights = layout.view(parameters, name);
          const change = Math.sqrt(weights.reduce((sum, w, i) => sum + (w - layout.view(initial, name)[i]!) ** 2, 0));
          // Adam divides by the gradient's size, so rounding shows where a gradient is nearly zero: hence by norm.
          expect(Math.abs(change - changeNorm) / changeNorm, `change of ${name}`).toBeLessThan(2e-3);
          expectAllClose(weights.subarray(0, first.length), first, { rtol: 1e-3, atol: 1e-4 });
        }
      }
    },
  );

  it.each([
    [1, 8],
    [4, 1],
  ])(
    "equals open_clip's SigLipLoss on %i ranks with micro-batches of %i: losses, scale, bias and weights after 3 steps",
    async (worldSize, micro) => {
      const trained = await trainSteps(engine, worldSize, micro, 3, { loss: SIGLIP });
      expectAllClose(trained.losses, siglipFixture.losses, { rtol: 2e-5 });
      const { logits, initial, parameters } = trained;
      const { layout } = trained.state;
      expectAllClose(
        logits.map(({ scale }) => scale),
        siglipFixture.logitScales,
        { atol: 1e-5 },
      );
      expectAllClose(
        logits.map(({ bias }) => bias),
        siglipFixture.logitBiases,
        { atol: 1e-5 },
      );
      for (const [name, changeNorm] of Object.entries(siglipFixture.changeNorms)) {
        const before = layout.view(initial, name);
        const change = Math.hypot(...layout.view(parameters, name).map((w, i) => w - before[i]!));
        expect(Math.abs(change - changeNorm) / changeNorm, `change of ${name}`).toBeLessThan(2e-3);
      }
    },
  );

  // Rows 1 and 5, and 2, 3 and 7, with the same captions.
  const captions = tokens.slice();
  for (const [to, from] of [
    [5, 1],
    [3, 2],
    [7, 2],
  ] as const)
    captions.copyWithin(to * 16, from * 16, (from + 1) * 16);

  const losses: { name: string; options: StepOptions }[] = [
    { name: 'clip', options: { loss: CLIP } },
    {
      name: 'clip, smoothed and masked',
      options: { loss: { ...CLIP, labelSmoothing: 0.1, maskDuplicates: 'caption' }, captions },
    },
    {
      name: 'clip, distilled',
      options: {
        loss: { ...CLIP, distill: { from: 'job:teacher@1', weight: 0.5, temperature: 2 } },
        teacher: teacherWeights(),
      },
    },
    { name: 'siglip', options: { loss: SIGLIP } },
    { name: 'siglip, masked', options: { loss: { ...SIGLIP, maskDuplicates: 'caption' }, captions } },
  ];
  const splits = [
    [1, 4],
    [2, 4],
    [2, 1],
    [4, 2],
    [4, 1],
  ] as const;
  describe.each(losses)('with the loss $name', ({ name, options }) => {
    const steps = name === 'clip' ? 20 : 8;
    let whole: Awaited<ReturnType<typeof trainSteps>>;
    beforeAll(async () => {
      whole = await trainSteps(engine, 1, BATCH, steps, options);
    });

    it.each(splits)(
      `on %i ranks with micro-batches of %i gives the weights of one rank and one batch after ${steps} steps`,
      async (worldSize, micro) => {
        const split = await trainSteps(engine, worldSize, micro, steps, options);
        expectAllClose(split.losses, whole.losses, { rtol: 1e-4, atol: 1e-5 });
        expect(relativeDifference(whole.parameters, split.parameters)).toBeLessThan(1e-5);
      },
    );
  });

  it.each(['caption', 'image'] as const)('leaves out of the negatives what has the same %s', async (maskDuplicates) => {
    const { losses: plain } = await trainSteps(engine, 2, 4, 1, { captions });
    const { losses: masked } = await trainSteps(engine, 2, 4, 1, { loss: { ...CLIP, maskDuplicates }, captions });
    // All pictures differ.
    if (maskDuplicates === 'image') expectAllClose(masked, plain, { rtol: 1e-5 });
    else expect(masked[0]).toBeLessThan(plain[0]! - 0.1);
  });

  it.each([
    [1, 2],
    [2, 1],
  ])('on %i ranks with micro-batches of %i gives the same whether tapes are kept or not', async (worldSize, micro) => {
    const kept = await trainSteps(engine, worldSize, micro, 5, { keepsTapes: true });
    const encodedTwice = await trainSteps(engine, worldSize, micro, 5, { keepsTapes: false });
    expectAllClose(kept.losses, encodedTwice.losses, { rtol: 1e-6 });
    expect(relativeDifference(encodedTwice.parameters, kept.parameters)).toBeLessThan(1e-6);
    expectBitwise((await trainSteps(engine, worldSize, micro, 5, { keepsTapes: true })).parameters, kept.parameters);
  });

  it.each(
    (['bf16', 'fp16'] as const).flatMap((compute) =>
      [
        [1, 2],
        [2, 4],
        [4, 1],
      ].map(([worldSize, micro]) => ({ compute, worldSize: worldSize!, micro: micro! })),
    ),
  )(
    'with products of $compute on $worldSize ranks with micro-batches of $micro gives what one rank gives, near fp32',
    async ({ compute, worldSize, micro }) => {
      const whole = await trainSteps(engine, 1, BATCH, 3, { compute });
      const split = await trainSteps(engine, worldSize, micro, 3, { compute });
      expect(relativeDifference(whole.parameters, split.parameters)).toBeLessThan(1e-3);
      const exact = await trainSteps(engine, 1, BATCH, 3);
      expectAllClose(whole.losses, exact.losses, { rtol: 0.02 });
      expect(relativeDifference(exact.parameters, whole.parameters)).toBeGreaterThan(1e-5);
    },
  );

  it('with patch dropout gives the same on any number of ranks, with micro-batches of any size, tapes kept or not', async () => {
    const config = { ...wholeConfig, vision_cfg: { ...wholeConfig.vision_cfg, patch_dropout: 0.5 } };
    const whole = await trainSteps(engine, 1, BATCH, 4, { keepsTapes: true, config });
    for (const [worldSize, micro, keepsTapes] of [
      [2, 2, false],
      [4, 1, true],
    ] as const) {
      const split = await trainSteps(engine, worldSize, micro, 4, { keepsTapes, config });
      expectAllClose(split.losses, whole.losses, { rtol: 1e-4, atol: 1e-5 });
      expect(relativeDifference(whole.parameters, split.parameters)).toBeLessThan(1e-5);
    }
    const all = await trainSteps(engine, 1, BATCH, 1);
    expect(Math.abs(all.losses[0]! - whole.losses[0]!)).toBeGreaterThan(1e-3);
  });

  it.each([
    [1, 8, true],
    [2, 2, true],
    [2, 2, false],
  ])(
    'on %i ranks with micro-batches of %i (tapes kept: %s) gives the same when blocks are formed again',
    async (worldSize, micro, keepsTapes) => {
      const kept = await trainSteps(engine, worldSize, micro, 5, { keepsTapes });
      const formedAgain = await trainSteps(engine, worldSize, micro, 5, { keepsTapes, checkpointBlocks: true });
      expectAllClose(formedAgain.losses, kept.losses, { rtol: 1e-6 });
      expect(relativeDifference(kept.parameters, formedAgain.parameters)).toBeLessThan(1e-6);
    },
  );

  it('repeats bitwise', async () => {
    const first = await trainSteps(engine, 2, 2, 5);
    const second = await trainSteps(engine, 2, 2, 5);
    expectBitwise(first.parameters, second.parameters);
    expect(first.losses).toEqual(second.losses);
  });

  it('gives bitwise the same of graphs as recorded as of simplified ones', async () => {
    const open = async (simplify: boolean) => {
      const nodes = new Map<string, number>();
      const onCompile: OnCompile = ({ program, cost }) => nodes.set(program, cost.nodes);
      return { nodes, engine: await engines.open(name, { threads: 2, simplify, onCompile }) };
    };
    const recorded = await open(false);
    const simplified = await open(true);
    for (const [worldSize, micro, keepsTapes] of [
      [1, 8, true],
      [1, 2, true],
      [2, 2, false],
    ] as const) {
      const expected = await trainSteps(recorded.engine, worldSize, micro, 3, { keepsTapes });
      const actual = await trainSteps(simplified.engine, worldSize, micro, 3, { keepsTapes });
      expect(actual.losses).toEqual(expected.losses);
      expectBitwise(actual.parameters, expected.parameters);
    }
    for (const program of ['train (1 of 2)', 'train (2 of 2)', 'encode and backward'])
      expect(recorded.nodes.get(program), program).toBeGreaterThan(simplified.nodes.get(program)!);
    await recorded.engine.close();
    await simplified.engine.close();
  });

  it('stops at a loss that is not finite, naming the step, with the weights unchanged', async () => {
    let state: TrainState | undefined;
    let before: Float32Array | undefined;
    const steps = runSteps(engine, {
      config: wholeConfig,
      specs,
      batches: [{ pixels, tokens }],
      firstStep: 6,
      optimizer: fixture.adamw,
      loss: CLIP,
      initialize: (given) => {
        formulaParameters(given);
        layout.view(given.parameters, 'visual.proj').fill(Number.NaN);
        [state, before] = [given, given.parameters.slice()];
      },
    });
    await expect(steps).rejects.toMatchObject({
      code: 'loss_not_finite',
      message: expect.stringContaining('step 7'),
    });
    expectBitwise(state!.parameters, before!);
  });
});
