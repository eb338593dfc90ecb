import { readFileSync } from 'node:fs';
import { type Engine, openEngine, type Tensor, type TensorFunction, tf } from '@clipyard/engine';
import { expectAllClose, formulaValues, formulaWords } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelConfig, parseModelConfig } from './model-config.js';
import { parameterLayout, parameterSpecs } from './parameters.js';
import { resolveModelConfig } from './presets.js';
import { pooledRows } from './text-pooling.js';
import { encodeImage, encodeText } from './towers.js';

interface ParameterFixture {
  shape: number[];
  decays: boolean;
  scale: number;
  offset: number;
  gradNorm: number;
  grad: number[];
}

interface Fixture {
  config: unknown;
  stateDict: Record<string, number[]>;
  tokens: number[][];
  imageEmbeddings: number[];
  textEmbeddings: number[];
  losses: number[];
  parameters: Record<string, ParameterFixture>;
}

const load = (name: string): Fixture =>
  JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), 'utf8'));
const BATCH = 8;

/** Bytes by the formula, normalised with CLIP's statistics in float64. */
function formulaImages(length: number): Float32Array {
  const mean = [0.48145466, 0.4578275, 0.40821073];
  const std = [0.26862954, 0.26130258, 0.27577711];
  return Float32Array.from(
    formulaWords('images', length),
    (word, i) => (((word >>> 8) % 256) / 255 - mean[i % 3]!) / std[i % 3]!,
  );
}

/** The formula's value of every tensor, as the script that made the fixture filled them. */
function inputsOf(
  config: ModelConfig,
  parameters: Record<string, { shape: number[]; scale: number; offset: number }>,
  rows: number[][],
) {
  const size = config.vision_cfg.image_size;
  const tokens = Int32Array.from(rows.flat());
  const given: Record<string, Float32Array | Int32Array> = {
    images: formulaImages(BATCH * size * size * 3),
    tokens,
    ends: pooledRows(config.text_cfg, tokens),
  };
  for (const [name, { shape, scale, offset }] of Object.entries(parameters)) {
    given[name] = formulaValues(
      name,
      shape.reduce((a, b) => a * b, 1),
      scale,
      offset,
    );
  }
  return given;
}

function inputSpecs(config: ModelConfig) {
  const { image_size: size } = config.vision_cfg;
  return {
    ...Object.fromEntries(parameterSpecs(config).map(({ name, shape }) => [name, { shape }])),
    images: { shape: [BATCH, size, size, 3] },
    tokens: { shape: [BATCH, config.text_cfg.context_length], dtype: 'int32' as const },
    ends: { shape: [BATCH], dtype: 'int32' as const },
  };
}

/** Plain symmetric InfoNCE with all gradients by autodiff. */
function wholeBatchStep(config: ModelConfig): TensorFunction {
  const names = parameterSpecs(config).map(({ name }) => name);
  return (inputs) => {
    let image!: Tensor;
    let text!: Tensor;
    const loss = (...values: Tensor[]): Tensor => {
      const parameters = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
      image = tf.keep(encodeImage(config, parameters, inputs.images!));
      text = tf.keep(encodeText(config, parameters, inputs.tokens!, inputs.ends!));
      const logits = tf.mul(tf.exp(parameters.logit_scale!), tf.matMul(image, text, false, true)) as Tensor;
      const diagonal = (x: Tensor) => tf.sum(tf.mul(tf.log(tf.softmax(x)), tf.eye(BATCH)));
      return tf.mul(tf.add(diagonal(logits), diagonal(tf.transpose(logits))), -0.5 / BATCH);
    };
    const { value, grads } = tf.valueAndGrads(loss as never)(names.map((name) => inputs[name]!));
    return { image, text, loss: value, ...Object.fromEntries(names.map((name, i) => [`grad:${name}`, grads[i]!])) };
  };
}

describe.each(['cpu', 'onnxruntime'] as const)('the towers on %s', (engineName) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: engineName, threads: 2 });
  });
  afterAll(() => engine.close());

  it('equal open_clip in embeddings, loss and every gradient', async () => {
    const fixture = load('clip-tiny-torch');
    const config = parseModelConfig(fixture.config);
    const program = await engine.compile(wholeBatchStep(config), inputSpecs(config), { name: 'whole batch' });
    const results = await program.run(inputsOf(config, fixture.parameters, fixture.tokens));
    expectAllClose(results.image!, fixture.imageEmbeddings, { atol: 2e-6, rtol: 1e-5 });
    expectAllClose(results.text!, fixture.textEmbeddings, { atol: 2e-6, rtol: 1e-5 });
    expect(results.loss![0]).toBeCloseTo(fixture.losses[0]!, 5);
    for (const [name, parameter] of Object.entries(fixture.parameters)) {
      const gradient = results[`grad:${name}`] as Float32Array;
      const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
      expect(Math.abs(norm - parameter.gradNorm) / (parameter.gradNorm + 1e-12), `norm of ${name}`).toBeLessThan(1e-4);
      const scale = parameter.gradNorm / Math.sqrt(gradient.length);
      expectAllClose(gradient.subarray(0, parameter.grad.length), parameter.grad, { atol: 1e-4 * scale, rtol: 1e-4 });
    }
    await program.dispose();
  });

  it('equal open_clip with the exact GELU', async () => {
    const fixture = load('clip-tiny-gelu-torch');
    const { parameters } = load('clip-tiny-torch');
    const config = parseModelConfig(fixture.config);
    const program = await engine.compile(
      (inputs) => ({
        image: encodeImage(config, inputs, inputs.images!),
        text: encodeText(config, inputs, inputs.tokens!, inputs.ends!),
      }),
      inputSpecs(config),
      { name: 'towers' },
    );
    const results = await program.run(inputsOf(config, parameters, fixture.tokens ?? load('clip-tiny-torch').tokens));
    expectAllClose(results.image!, fixture.imageEmbeddings, { atol: 2e-6, rtol: 1e-5 });
    expectAllClose(results.text!, fixture.textEmbeddings, { atol: 2e-6, rtol: 1e-5 });
  });
});

describe('parameters', () => {
  it("have open_clip's names, shapes and weight decay", () => {
    const fixture = load('clip-tiny-torch');
    const specs = parameterSpecs(resolveModelConfig({ preset: 'clip-tiny' }));
    expect(Object.fromEntries(specs.map(({ name, shape }) => [name, shape]))).toEqual(fixture.stateDict);
    for (const { name, decay } of specs) expect(decay, name).toBe(fixture.parameters[name]!.decays);
  });

  it('of ViT-B/32 are 151,277,313', () => {
    expect(parameterLayout(parameterSpecs(resolveModelConfig({ preset: 'ViT-B-32' }))).elements).toBe(151_277_313);
  });
});
