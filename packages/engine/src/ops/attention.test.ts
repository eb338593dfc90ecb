import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { builtTensorFlow, expectAllClose, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testEngines } from '../conformance/test-engines.js';
import { type Engine, type Specs, type Tensor, type TensorFunction, tf } from '../index.js';
import { attention, LONGEST_KEPT, wholeAttention } from './attention.js';

const engines = testEngines(builtTensorFlow());

const [HEADS, WIDTH] = [2, 8];
type Attention = typeof attention;

/** The result and its gradients by q, k and v. */
const withGradients =
  (attend: Attention, masked: boolean): TensorFunction =>
  ({ q, k, v, cotangent, mask }) => {
    const loss = (q: Tensor, k: Tensor, v: Tensor) =>
      tf.sum(tf.mul(attend(q, k, v, masked ? mask : undefined), cotangent!));
    const [dq, dk, dv] = tf.grads(loss)([q!, k!, v!]);
    return { value: attend(q!, k!, v!, masked ? mask : undefined), dq: dq!, dk: dk!, dv: dv! };
  };

describe.each(engines.names)('attention over a long sequence, on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 2);
  });
  afterAll(() => engine.close());

  it.each([
    [LONGEST_KEPT + 1, false],
    [LONGEST_KEPT + 44, true],
  ])('of %i tokens (mask: %s) in blocks is attention with the whole matrix', async (tokens, masked) => {
    const shape = [HEADS, tokens, WIDTH];
    const specs: Specs = {
      q: { shape },
      k: { shape },
      v: { shape },
      cotangent: { shape },
      mask: { shape: [1, tokens, tokens] },
    };
    const inputs = Object.fromEntries(
      Object.entries(specs).map(([key, { shape }]) => [
        key,
        formulaValues(
          key,
          shape.reduce((a, b) => a * b, 1),
          2,
        ),
      ]),
    );
    const run = async (attend: Attention) => {
      const program = await engine.compile(withGradients(attend, masked), specs, { name: 'attention' });
      const results = await program.run(inputs);
      await program.dispose();
      return results;
    };
    const [blocked, whole] = [await run(attention), await run(wholeAttention)];
    for (const output of ['value', 'dq', 'dk', 'dv'])
      expectAllClose(blocked[output]!, whole[output]!, { rtol: 1e-4, atol: 2e-5 });
  });
});

/** Prints by how much memory grew in a process that runs attention with all gradients over argv's tokens, MiB. */
const MEASURE = `
import { readFileSync } from 'node:fs';
import { attention, openEngine, tf } from '@clipyard/engine';
const tokens = Number(process.argv.at(-1));
const shape = [8, tokens, 16];
const specs = { q: { shape }, k: { shape }, v: { shape }, cotangent: { shape } };
const engine = await openEngine({ engine: 'onnxruntime', threads: 2 });
const loss = (cotangent) => (q, k, v) => tf.sum(tf.mul(attention(q, k, v), cotangent));
const program = await engine.compile(
  ({ q, k, v, cotangent }) => {
    const { value, grads } = tf.valueAndGrads(loss(cotangent))([q, k, v]);
    return { value, dq: grads[0], dk: grads[1], dv: grads[2] };
  },
  specs,
  { name: 'attention' },
);
const arrays = Object.fromEntries(
  Object.keys(specs).map((name) => [name, new Float32Array(8 * tokens * 16).fill(0.5)]),
);
const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
const before = peak();
await program.run(arrays);
console.log(peak() - before);
await engine.close();
`;

it.runIf(process.platform === 'linux')('takes memory in proportion to the tokens, not to their square', async () => {
  const grownMib = async (tokens: number): Promise<number> => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', MEASURE, String(tokens)],
      {
        cwd: import.meta.dirname,
      },
    );
    return Number(stdout);
  };
  const [short, long] = [await grownMib(1024), await grownMib(4096)];
  // Four times as many tokens: with all blocks at once it would be 16 times the memory.
  expect(long / short).toBeLessThan(6);
});
