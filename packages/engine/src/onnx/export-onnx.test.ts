import { expectAllClose, formulaValues } from '@clipyard/testkit';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { CpuEngine } from '../cpu-engine.js';
import type { Specs, TensorFunction } from '../engine.js';
import { attention } from '../ops/attention.js';
import { averagePool, convolution, relu } from '../ops/convolution.js';
import { matmul } from '../ops/fused.js';
import { geluLinear } from '../ops/gelu-linear.js';
import { rows, silu } from '../ops/layers.js';
import { layerNorm, normLinear } from '../ops/norms.js';
import { tf } from '../tfjs.js';
import { exportOnnx } from './export-onnx.js';

const TOKENS = 5;
const WIDTH = 8;
const WEIGHTS: Specs = {
  table: { shape: [11, WIDTH] },
  first: { shape: [1, 1, WIDTH] },
  gain: { shape: [WIDTH] },
  bias: { shape: [WIDTH] },
  qkv: { shape: [3 * WIDTH, WIDTH] },
  qkvBias: { shape: [3 * WIDTH] },
  out: { shape: [WIDTH, WIDTH] },
};
const INPUTS = (batch: number): Specs => ({
  ...WEIGHTS,
  ids: { shape: [batch, TOKENS], dtype: 'int32' },
  bump: { shape: [batch, 2] },
});

/** What towers are made of, and what only a fixed batch makes simple: tiles, fills and slices of it. */
const fn: TensorFunction = (inputs) => {
  const { table, first, gain, bias, qkv, qkvBias, out, ids, bump } = inputs as Record<string, never>;
  const batch = (ids as { shape: number[] }).shape[0]!;
  const embedded = tf.reshape(rows(table, tf.reshape(ids, [batch * TOKENS])), [batch, TOKENS, WIDTH]);
  const sequence = tf.concat([tf.tile(first, [batch, 1, 1]), embedded], 1);
  const flat = tf.reshape(sequence, [batch * (TOKENS + 1), WIDTH]);
  const heads = tf.transpose(
    tf.reshape(normLinear(flat, gain, bias, qkv, qkvBias, 0.5), [batch, TOKENS + 1, 6, WIDTH / 2]),
    [0, 2, 1, 3],
  );
  const [q, k, v] = tf.split(heads, 3, 1).map((x) => tf.reshape(x, [batch * 2, TOKENS + 1, WIDTH / 2]));
  const mixed = tf.transpose(tf.reshape(attention(q!, k!, v!), [batch, 2, TOKENS + 1, WIDTH / 2]), [0, 2, 1, 3]);
  const x = layerNorm(tf.reshape(mixed, [batch * (TOKENS + 1), WIDTH]), gain, bias);
  const y = geluLinear(silu(x), out, bias, x);
  const last = tf.slice(tf.reshape(y, [batch, TOKENS + 1, WIDTH]), [0, TOKENS, 0], [-1, 1, -1]);
  const padded = tf.concat([tf.reshape(last, [batch, WIDTH]), bump, tf.ones([batch, 2])], 1);
  return {
    pooled: tf.pad(padded, [
      [0, 0],
      [1, 0],
    ]),
    gram: matmul(mixed, mixed, { transposeA: true, alpha: 2 }),
    some: tf.slice(ids, [0, 1], [-1, 2]),
  };
};

const valuesOf = (specs: Specs): Record<string, Float32Array> =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => [
      name,
      formulaValues(
        name,
        shape.reduce((a, b) => a * b, 1),
      ),
    ]),
  );
const weights = valuesOf(WEIGHTS);

async function expectSame(model: Uint8Array, batch: number): Promise<void> {
  const ids = Int32Array.from({ length: batch * TOKENS }, (_, i) => (i * 7) % 11);
  const bump = formulaValues('bump', batch * 2);
  const program = await new CpuEngine().compile(fn, INPUTS(batch), { name: 'test' });
  const expected = await program.run({ ...weights, ids, bump });
  const session = await InferenceSession.create(model);
  const feeds = {
    ids: new OrtTensor('int64', BigInt64Array.from(ids, BigInt), [batch, TOKENS]),
    bump: new OrtTensor('float32', bump, [batch, 2]),
  };
  const results = await session.run(feeds);
  for (const name of ['pooled', 'gram'] as const) {
    expect(results[name]!.dims).toEqual(program.outputs[name]!.shape);
    expectAllClose(results[name]!.data as Float32Array, expected[name] as Float32Array, { rtol: 1e-5, atol: 1e-6 });
  }
  expect([...(results.some!.data as Int32Array)]).toEqual([...expected.some!]);
  await session.release();
}

it('writes a model that other runtimes read, with the weights inside, for any batch', async () => {
  const model = exportOnnx(fn, INPUTS, { name: 'test', batch: 'open', weights, metadata: { about: 'a test' } });
  expect(Buffer.from(model).includes('com.microsoft')).toBe(false);
  for (const batch of [1, 2, 7]) await expectSame(model, batch);
  const { inputMetadata, outputMetadata } = await InferenceSession.create(model);
  expect(inputMetadata).toMatchObject([
    { name: 'ids', type: 'int64', shape: ['batch', TOKENS] },
    { name: 'bump', type: 'float32', shape: ['batch', 2] },
  ]);
  expect(outputMetadata.find(({ name }) => name === 'some')).toMatchObject({ type: 'int32', shape: ['batch', 2] });
});

it('fixes the batch when it is given', async () => {
  await expectSame(exportOnnx(fn, INPUTS, { name: 'test', batch: 3, weights }), 3);
});

it('writes pictures and their convolutions for any batch', async () => {
  const convolve: TensorFunction = ({ images, w }) => ({
    y: averagePool(relu(convolution(images!, w!, { stride: 2, padding: 1 })), 2),
  });
  const inputs = (batch: number): Specs => ({ images: { shape: [batch, 8, 8, 3] }, w: { shape: [4, 3, 3, 3] } });
  const filter = valuesOf({ w: { shape: [4, 3, 3, 3] } });
  const session = await InferenceSession.create(
    exportOnnx(convolve, inputs, { name: 'pictures', batch: 'open', weights: filter }),
  );
  for (const batch of [1, 3]) {
    const images = formulaValues('images', batch * 8 * 8 * 3);
    const { y } = await session.run({ images: new OrtTensor('float32', images, [batch, 8, 8, 3]) });
    const program = await new CpuEngine().compile(convolve, inputs(batch), { name: 'pictures' });
    const expected = await program.run({ images, ...filter });
    expect(y!.dims).toEqual([batch, 2, 2, 4]);
    expectAllClose(y!.data as Float32Array, expected.y!, { rtol: 1e-5, atol: 1e-6 });
  }
  await session.release();
});

it.each([
  ['a value that depends on it', ({ x }) => ({ y: tf.mul(x!, x!.shape[0]!) })],
  [
    'a constant of its size',
    ({ x }) => ({
      y: tf.mul(
        x!,
        tf.tensor(
          Float32Array.from({ length: x!.shape[0]! }, (_, i) => i),
          [x!.shape[0]!, 1],
        ),
      ),
    }),
  ],
] satisfies [string, TensorFunction][])('refuses to leave the batch open over %s', (_, fn) => {
  const inputs = (batch: number): Specs => ({ x: { shape: [batch, 2] } });
  expect(() => exportOnnx(fn, inputs, { name: 'test', batch: 'open', weights: {} })).toThrow(
    expect.objectContaining({ code: 'engine_unsupported', fields: [expect.objectContaining({ path: 'batch' })] }),
  );
});
