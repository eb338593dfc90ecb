import { readFileSync } from 'node:fs';
import { parseRunSpec } from '@clipyard/contracts';
import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import type { Engine } from '@clipyard/engine';
import { parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import { expectAllClose, formulaValues, relativeDifference } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formulaPixels, trainSteps as runSteps, stepEngines, type TestResult, type TestSteps } from './test-steps.js';
import { compileTower } from './tower-programs.js';
import type { TrainState } from './train-state.js';

interface Fixture {
  config: unknown;
  adamw: { lr: number; betas: [number, number]; eps: number; weightDecay: number };
  tokens: number[][];
  pictures: [string, string];
  /** Embeddings of the first pictures after both, by running statistics. */
  evaluated: number[];
  steps: { loss: number; buffers: Record<string, { norm: number; first: number[] }> }[];
  parameters: Record<string, { scale: number; offset: number; after2: number[] }>;
}

// Made by scripts/reference/make_towers_fixture.py with PyTorch and open_clip, whose versions stand in the file.
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../../model/src/fixtures/resnet-torch.json', import.meta.url), 'utf8'),
);
const config = parseModelConfig(fixture.config);
const BATCH = 4;
const SIZE = config.vision_cfg.image_size;
const tokens = Int32Array.from(fixture.tokens.flat());
const LOSS = parseRunSpec({
  version: 1,
  name: 'x',
  model: { preset: 'RN50' },
  data: { train: { type: 'shapes' } },
  batch: { global: BATCH },
  duration: { steps: 2 },
}).loss;
const specs = parameterSpecs(config);
const running = specs.filter((spec) => spec.running);
const layout = parameterLayout(specs);

const pixelsOf = (name: string): Uint8Array => formulaPixels(name, BATCH, SIZE);

interface StepOptions extends Pick<TestSteps, 'keepsTapes' | 'checkpointBlocks' | 'batchNorm'> {
  readonly worldSize?: number;
  readonly micro?: number;
  /** Names of each step's. */
  readonly pictures: readonly string[];
}

const trainSteps = (engine: Engine, { pictures, ...options }: StepOptions) =>
  runSteps(engine, {
    ...options,
    config,
    specs,
    batches: pictures.map((name) => ({ pixels: pixelsOf(name), tokens })),
    optimizer: fixture.adamw,
    loss: LOSS,
    initialize: (state) => {
      for (const [name, { scale, offset }] of Object.entries(fixture.parameters))
        layout.view(state.parameters, name).set(formulaValues(name, layout.size(name), scale, offset));
      for (const { name } of running) state.view(name).fill(name.endsWith('_var') ? 1 : 0);
    },
  });

/** Embeddings of the first pictures by running statistics. */
async function evaluate(engine: Engine, { towerViews }: TrainState): Promise<Float32Array> {
  const tower = await compileTower(engine, 'image', { config, parameters: specs, samples: BATCH });
  const visual = Object.entries(towerViews).filter(([name]) => name.startsWith('visual.'));
  const images = normalizePixels(pixelsOf(fixture.pictures[0]), CLIP_PIXEL_STATISTICS);
  const { image } = await tower.run({ ...Object.fromEntries(visual), images });
  await tower.dispose();
  return image as Float32Array;
}

const engines = stepEngines();

describe.each(engines.names)('the train step of a ResNet on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name);
  });
  afterAll(() => engine.close());

  it.each([
    [1, BATCH, 'local'],
    [1, BATCH, 'global'],
    [2, 1, 'global'],
  ] as const)(
    "on %i ranks with micro-batches of %i and %s batch norm equals PyTorch's and open_clip's over two steps: losses, running statistics, weights, evaluation",
    async (worldSize, micro, batchNorm) => {
      const options = { worldSize, micro, pictures: fixture.pictures, keepsTapes: true, batchNorm };
      const { losses, statistics, parameters, state } = await trainSteps(engine, options);
      for (const [i, expected] of fixture.steps.entries()) {
        // After an update by Adam's the signs of gradients that are nearly zero show.
        const tolerance = i === 0 ? 1e-4 : 5e-3;
        expect(losses[i]! / expected.loss).toBeCloseTo(1, i === 0 ? 4 : 2);
        for (const [buffer, { norm, first }] of Object.entries(expected.buffers)) {
          const values = statistics[i]![buffer];
          if (values === undefined) continue; // a counter, which is in checkpoints only
          expect(Math.abs(Math.hypot(...values) / norm - 1), buffer).toBeLessThan(tolerance);
          const scale = norm / Math.sqrt(values.length);
          expectAllClose(values.subarray(0, first.length), first, { rtol: tolerance, atol: tolerance * scale });
        }
      }
      expectAllClose(await evaluate(engine, state), fixture.evaluated, { rtol: 2e-2, atol: 2e-3 });
      let apart = 0;
      for (const [parameter, { after2 }] of Object.entries(fixture.parameters)) {
        const weights = layout.view(parameters, parameter);
        apart += after2.filter((w, i) => Math.abs(weights[i]! - w) > 0.2 * fixture.adamw.lr).length;
      }
      expect(apart).toBeLessThan(8);
    },
  );

  it.each([
    [2, 2, true],
    [2, 2, false],
    [1, 2, false],
  ])(
    'on %i ranks with micro-batches of %i gives what one rank gives with them, tapes kept: %s',
    async (worldSize, micro, keepsTapes) => {
      const pictures = fixture.pictures.slice(0, 1);
      const one = await trainSteps(engine, { micro, pictures, keepsTapes: true });
      const split = await trainSteps(engine, { worldSize, micro, pictures, keepsTapes });
      expect(split.losses[0]!).toBeCloseTo(one.losses[0]!, 5);
      expectSameStatistics(split, one);
      expect(relativeDifference(one.parameters, split.parameters)).toBeLessThan(1e-4);
    },
  );

  it.each([
    [1, true, 'local'],
    [1, false, 'local'],
    [1, true, 'global'],
    [2, true, 'global'],
  ] as const)(
    'on %i ranks gives the same when stem and blocks are formed again, tapes kept: %s, with %s batch norm',
    async (worldSize, keepsTapes, batchNorm) => {
      const options = { worldSize, micro: 2, pictures: fixture.pictures, keepsTapes, batchNorm };
      const kept = await trainSteps(engine, options);
      const formedAgain = await trainSteps(engine, { ...options, checkpointBlocks: true });
      expectAllClose(formedAgain.losses, kept.losses, { rtol: 1e-6 });
      expectSameStatistics(formedAgain, kept);
      expect(relativeDifference(kept.parameters, formedAgain.parameters)).toBeLessThan(1e-6);
    },
  );
});

function expectSameStatistics(actual: TestResult, expected: TestResult): void {
  for (const [step, statistics] of expected.statistics.entries())
    for (const [buffer, values] of Object.entries(statistics))
      expectAllClose(actual.statistics[step]![buffer]!, values, { rtol: 1e-6, atol: 1e-7 });
}
