import { readFileSync } from 'node:fs';
import { type Engine, openEngine, type TensorFunction, tf } from '@clipyard/engine';
import { builtTensorFlow, expectAllClose, formulaValues, formulaWords } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelConfig, parseModelConfig } from './model-config.js';
import { counterNames, parameterSpecs } from './parameters.js';
import { updateRunningStatistics } from './resnet.js';
import { pooledPicker, pooledRows } from './text-pooling.js';
import { encodeImage, encodeText } from './towers.js';

interface ParameterFixture {
  readonly shape: number[];
  readonly decays: boolean;
  readonly scale: number;
  readonly offset: number;
  /** Where the loss depends on it. */
  readonly gradNorm?: number;
  readonly grad?: number[];
}

interface Variant {
  readonly config: unknown;
  readonly imageEmbeddings: number[];
  readonly textEmbeddings: number[];
  readonly parameters: Record<string, ParameterFixture>;
}

interface ResNetFixture extends Pick<Variant, 'config' | 'parameters'> {
  readonly tokens: number[][];
  /** Names of the pictures of each step. */
  readonly pictures: string[];
  readonly stateDict: Record<string, number[]>;
  readonly steps: {
    readonly imageEmbeddings: number[];
    readonly buffers: Record<string, { norm: number; first: number[] }>;
  }[];
}

// Made by scripts/reference/make_towers_fixture.py with PyTorch and open_clip, whose versions stand in the files.
const load = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), 'utf8')) as T;
const VARIANTS = load<{ tokens: number[][]; variants: Record<string, Variant> }>('tower-variants-torch');
const RESNET = load<ResNetFixture>('resnet-torch');
const BATCH = 4;

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Bytes by the formula, normalised with CLIP's statistics in float64. */
function formulaImages(name: string, size: number): Float32Array {
  const mean = [0.48145466, 0.4578275, 0.40821073];
  const std = [0.26862954, 0.26130258, 0.27577711];
  return Float32Array.from(
    formulaWords(name, BATCH * size * size * 3),
    (word, i) => (((word >>> 8) % 256) / 255 - mean[i % 3]!) / std[i % 3]!,
  );
}

const values = (parameters: Record<string, ParameterFixture>): Record<string, Float32Array> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, { shape, scale, offset }]) => [
      name,
      formulaValues(name, sizeOf(shape), scale, offset),
    ]),
  );

const specsOf = (config: ModelConfig) => ({
  ...Object.fromEntries(
    parameterSpecs(config)
      .filter(({ running }) => !running)
      .map(({ name, shape }) => [name, { shape }]),
  ),
  images: { shape: [BATCH, config.vision_cfg.image_size, config.vision_cfg.image_size, 3] },
  tokens: { shape: [BATCH, config.text_cfg.context_length], dtype: 'int32' as const },
  ends: { shape: [BATCH], dtype: 'int32' as const },
});

function textInputs(config: ModelConfig, rows: number[][]) {
  const tokens = Int32Array.from(rows.flat());
  return { tokens, ends: pooledRows(config.text_cfg, tokens) };
}

/** Plain symmetric InfoNCE with all gradients by autodiff, and a batch's statistics by the buffers' names. */
function wholeBatchStep(config: ModelConfig): TensorFunction {
  const names = parameterSpecs(config)
    .filter(({ name, running }) => name !== 'logit_bias' && !running)
    .map(({ name }) => name);
  return (inputs) => {
    const kept: Record<string, tf.Tensor> = {};
    const loss = (...tensors: tf.Tensor[]): tf.Tensor => {
      const parameters = Object.fromEntries(names.map((name, i) => [name, tensors[i]!]));
      const image = encodeImage(config, parameters, inputs.images!, {
        norm: {
          observe: (buffer, value) => {
            kept[`batch:${buffer}`] = value;
          },
        },
      });
      const text = encodeText(config, parameters, inputs.tokens!, inputs.ends!);
      Object.assign(kept, { image: tf.keep(image), text: tf.keep(text) });
      const logits = tf.mul(tf.exp(parameters.logit_scale!), tf.matMul(image, text as never, false, true)) as tf.Tensor;
      const diagonal = (x: tf.Tensor) => tf.sum(tf.mul(tf.log(tf.softmax(x)), tf.eye(BATCH)));
      return tf.mul(tf.add(diagonal(logits), diagonal(tf.transpose(logits))), -0.5 / BATCH);
    };
    const { grads } = tf.valueAndGrads(loss as never)(names.map((name) => inputs[name]!));
    return { ...kept, ...Object.fromEntries(names.map((name, i) => [`grad:${name}`, grads[i]!])) };
  };
}

/** Gradients that are zero but for rounding, such as of the biases of keys, are as large at most. */
const ZERO = 1e-6;

function expectGradients(
  results: Record<string, ArrayLike<number>>,
  parameters: Record<string, ParameterFixture>,
): void {
  for (const [name, { gradNorm, grad }] of Object.entries(parameters)) {
    if (gradNorm === undefined || grad === undefined) continue;
    const gradient = Float32Array.from(results[`grad:${name}`]!);
    const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
    expect(Math.abs(norm - gradNorm), `norm of ${name}`).toBeLessThan(1e-4 * gradNorm + ZERO);
    const scale = gradNorm / Math.sqrt(gradient.length);
    expectAllClose(gradient.subarray(0, grad.length), grad, { atol: 3e-4 * scale + ZERO, rtol: 3e-4 });
  }
}

const built = builtTensorFlow();
const ENGINES = ['cpu', 'onnxruntime', ...('missing' in built ? [] : ['tensorflow' as const])] as const;

describe.each(ENGINES)('towers on %s', (engineName) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: engineName, threads: 2, ...('missing' in built ? {} : built) });
  });
  afterAll(() => engine.close());

  it.each(Object.entries(VARIANTS.variants))(
    'equal open_clip in embeddings and every gradient: %s',
    async (_, variant) => {
      const config = parseModelConfig(variant.config);
      const program = await engine.compile(wholeBatchStep(config), specsOf(config), { name: 'whole batch' });
      const { logit_bias: _bias, ...given } = values(variant.parameters);
      const results = await program.run({
        ...given,
        ...('logit_bias' in program.inputs ? { logit_bias: Float32Array.of(-10) } : {}),
        images: formulaImages('images', config.vision_cfg.image_size),
        ...textInputs(config, VARIANTS.tokens),
      });
      await program.dispose();
      expectAllClose(results.image!, variant.imageEmbeddings, { atol: 2e-6, rtol: 1e-5 });
      expectAllClose(results.text!, variant.textEmbeddings, { atol: 2e-6, rtol: 1e-5 });
      expectGradients(results, variant.parameters);
    },
  );

  // tfjs's plain JavaScript takes more than a minute for it; the conformance cases cover it.
  it.skipIf(engineName === 'cpu')(
    'equal open_clip as a ResNet in training: embeddings, every gradient, running statistics',
    async () => {
      const config = parseModelConfig(RESNET.config);
      const program = await engine.compile(wholeBatchStep(config), specsOf(config), { name: 'whole batch' });
      const results = (await program.run({
        ...values(RESNET.parameters),
        images: formulaImages(RESNET.pictures[0]!, config.vision_cfg.image_size),
        ...textInputs(config, RESNET.tokens),
      })) as Record<string, Float32Array>;
      await program.dispose();
      const [first] = RESNET.steps;
      expectAllClose(results.image!, first!.imageEmbeddings, { atol: 5e-6, rtol: 1e-4 });
      expectGradients(results, RESNET.parameters);

      const running = Object.fromEntries(
        parameterSpecs(config)
          .filter((spec) => spec.running)
          .map(({ name, shape }) => [name, new Float32Array(sizeOf(shape)).fill(name.endsWith('_var') ? 1 : 0)]),
      );
      const batch = Object.entries(results).filter(([name]) => name.startsWith('batch:'));
      updateRunningStatistics(
        running,
        Object.fromEntries(batch.map(([name, value]) => [name.slice('batch:'.length), value])),
      );
      for (const [name, { norm, first: expected }] of Object.entries(first!.buffers)) {
        if (name.endsWith('num_batches_tracked')) continue;
        expect(Math.hypot(...running[name]!) / norm, name).toBeCloseTo(1, 4);
        expectAllClose(running[name]!.subarray(0, expected.length), expected, { rtol: 1e-4, atol: 1e-6 });
      }
    },
  );
});

describe('parameters and buffers', () => {
  it.each([...Object.entries(VARIANTS.variants), ['a ResNet', RESNET] as const])(
    "have open_clip's names, shapes and weight decay: %s",
    (_, { config, parameters }) => {
      const specs = parameterSpecs(parseModelConfig(config)).filter(({ running }) => !running);
      const shapes = Object.fromEntries(specs.map(({ name, shape }) => [name, shape]));
      expect(shapes).toEqual(Object.fromEntries(Object.entries(parameters).map(([name, { shape }]) => [name, shape])));
      for (const { name, decay } of specs) expect(decay, name).toBe(parameters[name]!.decays);
    },
  );

  it('of a ResNet are all of its state', () => {
    const config = parseModelConfig(RESNET.config);
    const shapes = parameterSpecs(config).map(({ name, shape }) => [name, shape]);
    const counters = counterNames(config).map((name) => [name, []]);
    expect(Object.fromEntries([...shapes, ...counters])).toEqual(RESNET.stateDict);
  });
});

describe('pooled rows', () => {
  const text = { context_length: 4, vocab_size: 9, width: 1, heads: 1, layers: 1, mlp_ratio: 4 };
  const tokens = Int32Array.of(7, 8, 0, 8, 7, 3, 2, 2);
  it.each([
    ['argmax', [1, 4]],
    ['first', [0, 4]],
    ['last', [3, 7]],
    ['eos', [0, 6]],
  ] as const)('by %s, before the graph or in it', async (type, expected) => {
    const config = { ...text, pool_type: type };
    expect([...pooledRows(config, tokens)]).toEqual(expected);
    const engine = await openEngine({ engine: 'cpu', threads: 1 });
    const inputs = { tokens: { shape: [2, 4], dtype: 'int32' as const }, rows: { shape: [8, 1] } };
    const program = await engine.compile(
      (given) => ({ picked: pooledPicker(config, given.tokens!)(given.rows!) }),
      inputs,
      { name: 'pick' },
    );
    const { picked } = await program.run({ tokens, rows: Float32Array.from({ length: 8 }, (_, i) => i) });
    expect([...picked!]).toEqual(expected);
    await engine.close();
  });
});
