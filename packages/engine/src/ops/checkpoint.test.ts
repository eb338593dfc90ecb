import { builtTensorFlow, expectAllClose, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testEngines } from '../conformance/test-engines.js';
import {
  type Engine,
  linear,
  normLinear,
  type Specs,
  silu,
  type Tensor,
  type TensorFunction,
  tf,
  traceGraph,
} from '../index.js';
import { checkpoint, type Part } from './checkpoint.js';

const engines = testEngines(builtTensorFlow());
const [ROWS, WIDTH, HIDDEN, BLOCKS] = [64, 8, 32, 6];

/** The feed-forward half of a block, times what is fixed. */
const block: Part = (x, [gain, bias, w, b, v, c], [factor]) =>
  linear(silu(tf.mul(normLinear(x, gain!, bias!, w!, b!), factor!)), v!, c!, x);

const SHAPES = [[WIDTH], [WIDTH], [HIDDEN, WIDTH], [HIDDEN], [WIDTH, HIDDEN], [WIDTH]];
const names = Array.from({ length: BLOCKS }, (_, i) => SHAPES.map((_, j) => `${i}.${j}`)).flat();
const specs: Specs = {
  x: { shape: [ROWS, WIDTH] },
  dy: { shape: [ROWS, WIDTH] },
  ...Object.fromEntries(names.map((name, i) => [name, { shape: SHAPES[i % SHAPES.length]! }])),
};

/** A stack of blocks and all its gradients. */
const stack =
  (apply: (x: Tensor, weights: Tensor[], fixed: Tensor[]) => Tensor): TensorFunction =>
  (inputs) => {
    const forward = (x: Tensor, ...weights: Tensor[]): Tensor => {
      const factor = tf.fill([1, HIDDEN], 0.75);
      for (let i = 0; i < BLOCKS; i++)
        x = apply(x, weights.slice(i * SHAPES.length, (i + 1) * SHAPES.length), [factor]);
      return x;
    };
    const { value, grads } = tf.valueAndGrads(forward as never)(
      ['x', ...names].map((name) => inputs[name]!),
      inputs.dy,
    );
    return { value, ...Object.fromEntries(['x', ...names].map((name, i) => [`d${name}`, grads[i]!])) };
  };

const kept = stack((x, weights, fixed) => block(x, weights, fixed, false));
const formedAgain = stack((x, weights, fixed) => checkpoint(block, x, weights, fixed));
const inputs = Object.fromEntries(
  Object.entries(specs).map(([key, { shape }]) => [
    key,
    formulaValues(
      key,
      shape.reduce((a, b) => a * b, 1),
      0.5,
    ),
  ]),
);

describe.each(engines.names)('blocks that are formed again for the gradient, on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 1);
  });
  afterAll(() => engine.close());

  it('give the values and the gradients of blocks that are kept', async () => {
    const run = async (fn: TensorFunction) => {
      const program = await engine.compile(fn, specs, { name: 'blocks' });
      const results = await program.run(inputs);
      await program.dispose();
      return results;
    };
    const [expected, actual] = [await run(kept), await run(formedAgain)];
    for (const [key, values] of Object.entries(expected))
      expectAllClose(actual[key]!, values, { rtol: 1e-6, atol: 1e-7 });
  });

  it('do so when the gradient is asked for later, with less carried over', async () => {
    const run = async (fn: TensorFunction) => {
      const program = await engine.compileStaged(fn, specs, [['dy']], { name: 'blocks' });
      const { dy, ...early } = inputs;
      await program.run(0, early);
      const results = await program.run(1, { dy: dy! });
      await program.dispose();
      return results;
    };
    const [expected, actual] = [await run(kept), await run(formedAgain)];
    for (const [key, values] of Object.entries(expected))
      expectAllClose(actual[key]!, values, { rtol: 1e-6, atol: 1e-7 });
  });
});

it('blocks that are formed again hold one block at a time, and the inputs of all', () => {
  const [whole, checkpointed] = [kept, formedAgain].map((fn) => traceGraph('blocks', fn, specs).cost);
  // Kept are x̂, σ and the product of each; formed again are those of one, and x of each.
  expect(checkpointed!.peakBytes).toBeLessThan(0.5 * whole!.peakBytes);
  expect(checkpointed!.flops).toBeGreaterThan(1.15 * whole!.flops);
});
