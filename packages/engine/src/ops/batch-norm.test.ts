import { builtTensorFlow, expectAllClose, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testEngines } from '../conformance/test-engines.js';
import {
  batchNorm,
  type Engine,
  globalBatchNorm,
  type NormExchange,
  type Specs,
  type Tensor,
  type TensorFunction,
  tf,
} from '../index.js';

const engines = testEngines(builtTensorFlow());
const [ROWS, PARTS, CHANNELS] = [24, 3, 5];
const vector = { shape: [CHANNELS] };
const operands = (rows: number): Specs => ({
  x: { shape: [rows, CHANNELS] },
  gain: vector,
  bias: vector,
  dy: { shape: [rows, CHANNELS] },
});

/** A norm between two products, and its gradients. */
const gradients =
  (norm: (x: Tensor, gain: Tensor, bias: Tensor) => Tensor): TensorFunction =>
  ({ x, gain, bias, dy }) => {
    const { value, grads } = tf.valueAndGrads(norm as never)([x!, gain!, bias!], dy!);
    const [dx, dGain, dBias] = grads as Tensor[];
    return { y: value, dx: dx!, dGain: dGain!, dBias: dBias! };
  };

const QUANTITIES = ['mean', 'variance', 'cotangent', 'product'] as const;

/** What the rows here give are outputs, what all give late inputs. */
const inParts: TensorFunction = (inputs) => {
  const own: Record<string, Tensor> = {};
  const note = (values: object): void => {
    for (const [name, value] of Object.entries(values)) own[`own ${name}`] = tf.keep(value);
  };
  const [mean, variance, cotangent, product] = QUANTITIES.map((name) => inputs[name]!) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const exchange: NormExchange = {
    statistics: (values) => {
      note(values);
      return { mean, variance };
    },
    cotangents: (values) => {
      note(values);
      return { cotangent, product };
    },
  };
  const results = gradients((x, gain, bias) => globalBatchNorm(x, gain, bias, exchange))(inputs);
  return { ...results, ...own };
};

const average = (parts: readonly ArrayLike<number>[]): Float32Array =>
  Float32Array.from(parts[0]!, (_, i) => parts.reduce((sum, part) => sum + part[i]!, 0) / parts.length);

describe.each(engines.names)('batch norm over rows in several places, on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 1);
  });
  afterAll(() => engine.close());

  it('equals that of all rows in one place, with its gradients', async () => {
    const values = {
      // Far from zero, so that differences of squares would show.
      x: formulaValues('x', ROWS * CHANNELS, 1, 30),
      gain: formulaValues('gain', CHANNELS),
      bias: formulaValues('bias', CHANNELS),
    };
    const dy = formulaValues('dy', ROWS * CHANNELS);
    const whole = await engine.compile(
      gradients((x, gain, bias) => batchNorm(x, gain, bias, ({ mean, variance }) => void tf.dispose([mean, variance]))),
      operands(ROWS),
      { name: 'whole' },
    );
    const expected = await whole.run({ ...values, dy });

    const late = Object.fromEntries(QUANTITIES.map((quantity) => [quantity, vector]));
    const staged = await engine.compileStaged(
      inParts,
      { ...operands(ROWS / PARTS), ...late },
      [['mean', 'variance'], ['dy'], ['cotangent', 'product']],
      { name: 'parts', tapes: PARTS },
    );
    const part = (all: Float32Array, tape: number): Float32Array =>
      all.subarray((tape * all.length) / PARTS, ((tape + 1) * all.length) / PARTS);
    const results: Record<string, Float32Array>[] = Array.from({ length: PARTS }, () => ({}));
    const run = async (stage: number, given: (tape: number) => Record<string, Float32Array>) => {
      for (let tape = 0; tape < PARTS; tape++)
        Object.assign(results[tape]!, await staged.run(stage, given(tape), {}, tape));
    };
    const own = (quantity: string) => results.map((result) => result[`own ${quantity}`]!);

    await run(0, (tape) => ({ ...values, x: part(values.x, tape) }));
    const mean = average(own('mean'));
    // Of the means there are, and within the parts.
    const between = own('mean').map((ofPart) => ofPart.map((m, i) => (m - mean[i]!) ** 2));
    const variance = average(own('variance')).map((v, i) => v + average(between)[i]!);
    await run(1, () => ({ mean, variance }));
    await run(2, (tape) => ({ dy: part(dy, tape) }));
    const means = { cotangent: average(own('cotangent')), product: average(own('product')) };
    await run(3, () => means);

    const joined = (output: string) => Float32Array.from(results.flatMap((result) => [...result[output]!]));
    const sum = (output: string) => average(results.map((result) => result[output]!)).map((v) => v * PARTS);
    const close = { rtol: 1e-5, atol: 1e-5 };
    expectAllClose(joined('y'), expected.y!, close);
    expectAllClose(joined('dx'), expected.dx!, close);
    expectAllClose(sum('dGain'), expected.dGain!, close);
    expectAllClose(sum('dBias'), expected.dBias!, close);
    expect(Math.hypot(...expected.dx!)).toBeGreaterThan(0.1);
    await whole.dispose();
    await staged.dispose();
  });
});
