import { builtTensorFlow, expectAllClose, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, TensorFunction } from '../engine.js';
import { linear } from '../ops/layers.js';
import { tf } from '../tfjs.js';
import { testEngines } from './test-engines.js';

/** To nearest even with so many bits after the leading one, and numbers below 2^`least` in steps of that one's. */
const nearest =
  (bits: number, least: number) =>
  (value: number): number => {
    const spacing = 2 ** (Math.max(least, Math.floor(Math.log2(Math.abs(value)))) - bits);
    const steps = value / spacing;
    const below = Math.floor(steps);
    const rest = steps - below;
    return (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * spacing;
  };
const ROUND = { bf16: nearest(7, -126), fp16: nearest(10, -14) };

const engines = testEngines(builtTensorFlow());

describe.each(engines.names)('rounded operands on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 2);
  });
  afterAll(() => engine.close());

  const [n, k, e] = [5, 48, 3];
  const specs = { x: { shape: [n, k] }, w: { shape: [e, k] }, b: { shape: [e] }, dy: { shape: [n, e] } };
  const normal = (length: number, stream: number, scale = 1) => formulaValues(`rounding ${stream}`, length, scale);

  it.each(['bf16', 'fp16'] as const)(
    'are the nearest numbers of %s, forwards and backwards; sums and biases stay',
    async (compute) => {
      // Among them ties, what fp16 holds only as a subnormal, and what it does not hold.
      const x = normal(n * k, 1);
      x.set([1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 3e-6, -5e-8, 1e-9]);
      const values = { x, w: normal(e * k, 2, 0.3), b: normal(e, 3), dy: normal(n * e, 4, 1e-3) };
      const fn: TensorFunction = (inputs) => {
        const { value, grads } = tf.valueAndGrads((x, w, b) => linear(x!, w!, b!))(
          [inputs.x!, inputs.w!, inputs.b!],
          inputs.dy!,
        );
        return { y: value, dx: grads[0]!, dw: grads[1]!, db: grads[2]! };
      };
      const program = await engine.compile(fn, specs, { name: 'linear', compute });
      const result = await program.run(values);
      const [rx, rw, rdy] = [values.x, values.w, values.dy].map((array) => [...array].map(ROUND[compute]));
      const sum = (length: number, term: (i: number) => number) =>
        Array.from({ length }, (_, i) => term(i)).reduce((a, b) => a + b, 0);
      const fill = (rows: number, columns: number, at: (r: number, c: number) => number) =>
        Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
      const close = (actual: unknown, expected: number[]) =>
        void expectAllClose(actual as Float32Array, expected, { rtol: 3e-6, atol: 1e-7 });
      close(
        result.y,
        fill(n, e, (r, c) => sum(k, (i) => rx![r * k + i]! * rw![c * k + i]!) + values.b[c]!),
      );
      close(
        result.dx,
        fill(n, k, (r, c) => sum(e, (i) => rdy![r * e + i]! * rw![i * k + c]!)),
      );
      close(
        result.dw,
        fill(e, k, (r, c) => sum(n, (i) => rdy![i * e + r]! * rx![i * k + c]!)),
      );
      close(
        result.db,
        fill(1, e, (_r, c) => sum(n, (i) => values.dy[i * e + c]!)),
      );
      const plain = await engine.compile(fn, specs, { name: 'linear' });
      const { y } = await plain.run(values);
      expect(Math.max(...(y as Float32Array).map((v, i) => Math.abs(v - result.y![i]!)))).toBeGreaterThan(1e-4);
      await program.dispose();
      await plain.dispose();
    },
  );
});
