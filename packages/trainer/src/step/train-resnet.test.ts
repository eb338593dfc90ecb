import { readFileSync } from 'node:fs';
import { parseRunSpec } from '@clipyard/contracts';
import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import { type Engine, openEngine } from '@clipyard/engine';
import { parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import {
  builtTensorFlow,
  expectAllClose,
  expectBitwise,
  formulaValues,
  formulaWords,
  referenceGroups,
  relativeDifference,
} from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planRun } from './run-plan.js';
import { compileTower } from './tower-programs.js';
import { TrainState } from './train-state.js';
import { TrainStep } from './train-step.js';

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
const signal = new AbortController().signal;
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

const pixelsOf = (name: string): Uint8Array =>
  Uint8Array.from(formulaWords(name, BATCH * SIZE * SIZE * 3), (word) => (word >>> 8) % 256);

/** A step for each name of pictures. Returns rank 0's, having checked that all ranks have the same. */
async function trainSteps(
  engine: Engine,
  worldSize: number,
  micro: number,
  pictures: string[],
  { keepsTapes, batchNorm }: { keepsTapes?: boolean; batchNorm?: 'local' | 'global' } = {},
) {
  const results = await Promise.all(
    referenceGroups(worldSize).map(async (group) => {
      const { rank } = group;
      const state = new TrainState(engine, specs, layout, rank, worldSize);
      for (const [name, { scale, offset }] of Object.entries(fixture.parameters))
        layout.view(state.parameters, name).set(formulaValues(name, layout.size(name), scale, offset));
      for (const { name } of running) state.view(name).fill(name.endsWith('_var') ? 1 : 0);
      const batch = { batch: { global: BATCH, micro }, duration: { steps: 2 } };
      const planned = planRun(batch, 1000, { rank, worldSize, cutsShare: false });
      const plan = { ...planned, keepsTapes: keepsTapes ?? planned.keepsTapes };
      const stepper = await TrainStep.create(
        { engine, group, state },
        {
          config,
          plan,
          optimizer: { ...fixture.adamw, clipNorm: null, emaDecay: null },
          loss: LOSS,
          compute: 'fp32',
          batchNorm,
          seed: 0,
        },
      );
      const part = <T extends Uint8Array | Int32Array>(all: T): T =>
        all.subarray((rank * all.length) / worldSize, ((rank + 1) * all.length) / worldSize) as T;
      const steps: { loss: number; statistics: Record<string, Float32Array> }[] = [];
      for (const [step, name] of pictures.entries()) {
        const own = { pixels: part(pixelsOf(name)), tokens: part(tokens) };
        const { loss } = await stepper.run(own, fixture.adamw.lr, step, signal);
        const statistics = Object.fromEntries(running.map(({ name }) => [name, state.view(name).slice()]));
        steps.push({ loss, statistics });
      }
      await stepper.dispose();
      const tower = await compileTower(engine, 'image', { config, parameters: specs, samples: BATCH });
      const visual = Object.entries(state.towerViews).filter(([name]) => name.startsWith('visual.'));
      const images = normalizePixels(pixelsOf(pictures[0]!), CLIP_PIXEL_STATISTICS);
      const { image } = await tower.run({ ...Object.fromEntries(visual), images });
      await tower.dispose();
      return { steps, image: image as Float32Array, parameters: state.parameters.slice(0, layout.total) };
    }),
  );
  const [first, ...others] = results;
  for (const { steps, parameters } of others) {
    expectBitwise(parameters, first!.parameters);
    expect(steps).toEqual(first!.steps);
  }
  return first!;
}

const built = builtTensorFlow();
const ENGINES = ['onnxruntime', ...('missing' in built ? [] : ['tensorflow' as const])] as const;

describe.each(ENGINES)('the train step of a ResNet on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: name, threads: 1, ...('missing' in built ? {} : built) });
  });
  afterAll(() => engine.close());

  it.each([
    [1, BATCH, 'local'],
    [1, BATCH, 'global'],
    [2, 1, 'global'],
  ] as const)(
    "on %i ranks with micro-batches of %i and %s batch norm equals PyTorch's and open_clip's over two steps: losses, running statistics, weights, evaluation",
    async (worldSize, micro, batchNorm) => {
      const options = { keepsTapes: true, batchNorm };
      const { steps, parameters, image } = await trainSteps(engine, worldSize, micro, fixture.pictures, options);
      for (const [i, { loss, statistics }] of steps.entries()) {
        const expected = fixture.steps[i]!;
        // After an update by Adam's the signs of gradients that are nearly zero show.
        const tolerance = i === 0 ? 1e-4 : 5e-3;
        expect(loss / expected.loss).toBeCloseTo(1, i === 0 ? 4 : 2);
        for (const [buffer, { norm, first }] of Object.entries(expected.buffers)) {
          const values = statistics[buffer];
          if (values === undefined) continue; // a counter, which is in checkpoints only
          expect(Math.abs(Math.hypot(...values) / norm - 1), buffer).toBeLessThan(tolerance);
          const scale = norm / Math.sqrt(values.length);
          expectAllClose(values.subarray(0, first.length), first, { rtol: tolerance, atol: tolerance * scale });
        }
      }
      expectAllClose(image, fixture.evaluated, { rtol: 2e-2, atol: 2e-3 });
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
      const one = await trainSteps(engine, 1, micro, fixture.pictures.slice(0, 1), { keepsTapes: true });
      const split = await trainSteps(engine, worldSize, micro, fixture.pictures.slice(0, 1), { keepsTapes });
      expect(split.steps[0]!.loss).toBeCloseTo(one.steps[0]!.loss, 5);
      for (const [buffer, values] of Object.entries(one.steps[0]!.statistics))
        expectAllClose(split.steps[0]!.statistics[buffer]!, values, { rtol: 1e-6, atol: 1e-7 });
      expect(relativeDifference(one.parameters, split.parameters)).toBeLessThan(1e-4);
    },
  );
});
