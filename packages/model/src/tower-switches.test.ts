import { readFileSync } from 'node:fs';
import { type Engine, openEngine, type Tensor, type TensorFunction, tf } from '@clipyard/engine';
import { expectAllClose, formulaValues, formulaWords } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelConfig, VitConfig } from './model-config.js';
import { parameterSpecs } from './parameters.js';
import { drawPatches, type KeptPatches, keptCount } from './patch-dropout.js';
import { resolveModelConfig } from './presets.js';
import { pooledRows } from './text-pooling.js';
import { encodeImage, encodeText } from './towers.js';

interface Case {
  image: number[];
  text: number[];
  parameters: Record<string, { shape: number[]; scale: number; offset: number; gradNorm: number; grad: number[] }>;
}

// Made by scripts/reference/make_tower_switches_fixture.py with PyTorch and open_clip, whose versions stand in the file.
const fixture: {
  config: unknown;
  tokens: number[][];
  patchDropout: Case & { patchDropout: number; kept: number[][] };
  mlpProjection: Case & { hidden: number };
} = JSON.parse(readFileSync(new URL('./fixtures/tower-switches-torch.json', import.meta.url), 'utf8'));
const BATCH = 8;
const SIZE = 32;
const GRID = 16;
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];
const images = Float32Array.from(
  formulaWords('images', BATCH * SIZE * SIZE * 3),
  (word, i) => (((word >>> 8) % 256) / 255 - MEAN[i % 3]!) / STD[i % 3]!,
);

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Embeddings and the gradients of every parameter, as the case's script made them. */
async function run(engine: Engine, config: ModelConfig, given: Case, kept?: KeptPatches<Int32Array>) {
  const names = parameterSpecs(config)
    .map(({ name }) => name)
    .filter((name) => name !== 'logit_scale');
  const fn: TensorFunction = (inputs) => {
    const towers = (...values: Tensor[]): Tensor => {
      const byName = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
      const chosen = kept && { keptPatches: inputs.keptPatches!, keptPositions: inputs.keptPositions! };
      const image = encodeImage(config, byName, inputs.images!, { kept: chosen });
      return tf.concat([image, encodeText(config, byName, inputs.tokens!, inputs.ends!)], 0);
    };
    const { value, grads } = tf.valueAndGrads(towers as never)(
      names.map((name) => inputs[name]!),
      tf.concat([inputs.dImage!, inputs.dText!], 0),
    );
    const [image, text] = tf.split(value, 2, 0);
    return { image: image!, text: text!, ...Object.fromEntries(names.map((name, i) => [`grad:${name}`, grads[i]!])) };
  };
  const embedding = [BATCH, config.embed_dim];
  const tokens = Int32Array.from(fixture.tokens.flat());
  const program = await engine.compile(
    fn,
    {
      ...Object.fromEntries(parameterSpecs(config).map(({ name, shape }) => [name, { shape }])),
      images: { shape: [BATCH, SIZE, SIZE, 3] },
      tokens: { shape: [BATCH, 16], dtype: 'int32' },
      ends: { shape: [BATCH], dtype: 'int32' },
      dImage: { shape: embedding },
      dText: { shape: embedding },
      ...(kept && {
        keptPatches: { shape: [kept.keptPatches.length], dtype: 'int32' as const },
        keptPositions: { shape: [kept.keptPositions.length], dtype: 'int32' as const },
      }),
    },
    { name: 'towers' },
  );
  const parameters = Object.entries(given.parameters).map(
    ([name, { shape, scale, offset }]) => [name, formulaValues(name, sizeOf(shape), scale, offset)] as const,
  );
  const results = await program.run({
    ...Object.fromEntries(parameters),
    logit_scale: Float32Array.of(0),
    images,
    tokens,
    ends: pooledRows(config.text_cfg, tokens),
    dImage: formulaValues('dImage', sizeOf(embedding)),
    dText: formulaValues('dText', sizeOf(embedding)),
    ...kept,
  });
  await program.dispose();
  return results as Record<string, Float32Array>;
}

function expectEqual(results: Record<string, Float32Array>, expected: Case, config: ModelConfig): void {
  expectAllClose(results.image!, expected.image, { atol: 2e-6, rtol: 1e-5 });
  expectAllClose(results.text!, expected.text, { atol: 2e-6, rtol: 1e-5 });
  const shapes = Object.fromEntries(Object.entries(expected.parameters).map(([name, { shape }]) => [name, shape]));
  const specs = parameterSpecs(config).filter(({ name }) => name !== 'logit_scale');
  expect(Object.fromEntries(specs.map(({ name, shape }) => [name, shape]))).toEqual(shapes);
  for (const [name, { gradNorm, grad }] of Object.entries(expected.parameters)) {
    const gradient = results[`grad:${name}`]!;
    const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
    expect(Math.abs(norm - gradNorm) / (gradNorm + 1e-12), `norm of ${name}`).toBeLessThan(1e-4);
    const scale = gradNorm / Math.sqrt(gradient.length);
    expectAllClose(gradient.subarray(0, grad.length), grad, { atol: 1e-4 * scale, rtol: 1e-4 });
  }
}

describe.each(['cpu', 'onnxruntime'] as const)('the towers on %s', (engineName) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: engineName, threads: 1 });
  });
  afterAll(() => engine.close());

  it("equal open_clip's in embeddings and every gradient with some of the patches", async () => {
    const { kept, patchDropout } = fixture.patchDropout;
    const config = resolveModelConfig({ config: fixture.config, patchDropout });
    expect(kept[0]).toHaveLength(keptCount(config.vision_cfg as VitConfig));
    const keptPatches = Int32Array.from(kept.flatMap((row, sample) => row.map((patch) => sample * GRID + patch)));
    const keptPositions = Int32Array.from(kept.flatMap((row) => [0, ...row.map((patch) => 1 + patch)]));
    const results = await run(engine, config, fixture.patchDropout, { keptPatches, keptPositions });
    expectEqual(results, fixture.patchDropout, config);
  });

  it("equal PyTorch's in embeddings and every gradient with MLP projections", async () => {
    const { hidden } = fixture.mlpProjection;
    const config = resolveModelConfig({ config: fixture.config, projection: { type: 'mlp', hidden } });
    expectEqual(await run(engine, config, fixture.mlpProjection), fixture.mlpProjection, config);
  });
});

describe('the patches that are kept', () => {
  const config = resolveModelConfig({ preset: 'clip-small', patchDropout: 0.5 });
  const vision = config.vision_cfg as VitConfig;
  const patches = 64;

  it('follow from the seed and the position of the sample alone', () => {
    const whole = drawPatches(vision, { seed: 3, position: 40, samples: 8 });
    const part = drawPatches(vision, { seed: 3, position: 44, samples: 4 });
    expect(part.keptPositions).toEqual(whole.keptPositions.subarray(4 * 33));
    expect(part.keptPatches.map((row) => row + 4 * patches)).toEqual(whole.keptPatches.subarray(4 * 32));
    expect(drawPatches(vision, { seed: 4, position: 40, samples: 8 })).not.toEqual(whole);
  });

  it('are each picture’s class token and as many different patches of its own, each as often as the others', () => {
    const samples = 4000;
    const { keptPatches, keptPositions } = drawPatches(vision, { seed: 1, position: 0, samples });
    const times = new Array<number>(patches).fill(0);
    for (let sample = 0; sample < samples; sample++) {
      const rows = [...keptPatches.subarray(sample * 32, (sample + 1) * 32)].map((row) => row - sample * patches);
      expect(new Set(rows).size).toBe(32);
      expect([...keptPositions.subarray(sample * 33, (sample + 1) * 33)]).toEqual([0, ...rows.map((row) => row + 1)]);
      for (const row of rows) times[row]!++;
    }
    // Five standard deviations of a binomial count.
    for (const count of times) expect(Math.abs(count - samples / 2)).toBeLessThan(5 * Math.sqrt(samples / 4));
  });
});

describe('a model choice', () => {
  it('replaces what the config says of dropout and projection, and nothing else', () => {
    const plain = resolveModelConfig({ preset: 'clip-tiny' });
    expect(plain.projection).toBeUndefined();
    const mlp = resolveModelConfig({ preset: 'clip-tiny', projection: { type: 'mlp', hidden: 7 } });
    expect(mlp).toEqual({ ...plain, projection: { type: 'mlp', hidden: 7 } });
    expect(resolveModelConfig({ config: mlp })).toEqual(mlp);
    expect(resolveModelConfig({ config: mlp, projection: { type: 'linear' } })).toEqual(plain);
    const dropping = resolveModelConfig({ preset: 'clip-tiny', patchDropout: 0.5 });
    expect(resolveModelConfig({ config: dropping, patchDropout: 0 }).vision_cfg).toMatchObject({ patch_dropout: 0 });
  });

  it.each([
    [{ vision_cfg: { patch_dropout: 1 } }, 'model.config.vision_cfg.patch_dropout'],
    [{ projection: { type: 'mlp' } }, 'model.config.projection.hidden'],
  ])('refuses %j by its name', (change, path) => {
    const base = fixture.config as { vision_cfg: object };
    const config = {
      ...base,
      ...change,
      vision_cfg: { ...base.vision_cfg, ...('vision_cfg' in change && change.vision_cfg) },
    };
    expect(() => resolveModelConfig({ config })).toThrow(
      expect.objectContaining({ code: 'model_config_invalid', fields: [expect.objectContaining({ path })] }),
    );
  });
});
