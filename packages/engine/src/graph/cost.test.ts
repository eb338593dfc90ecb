import { describe, expect, it } from 'vitest';
import type { TensorFunction } from '../engine.js';
import { installGradients } from '../gradients.js';
import { tf } from '../tfjs.js';
import { costOf } from './cost.js';
import { printGraph } from './print.js';
import { record } from './recorder.js';
import { simplify } from './simplify.js';
import { traceGraph } from './trace.js';

installGradients();
const graphOf = (fn: TensorFunction) =>
  simplify(record('test', fn, { x: { shape: [3, 4] }, w: { shape: [4, 5] }, b: { shape: [5] } }));

describe('the cost of a graph', () => {
  it('counts the operations of products and of elements', () => {
    const { flops, nodes } = costOf(graphOf(({ x, w, b }) => ({ y: tf.exp(tf.add(tf.matMul(x!, w!), b!)) })));
    expect(flops).toBe(2 * 3 * 4 * 5 + 15 + 15);
    expect(nodes).toBe(3);
  });

  it('counts bytes read and written, none for a reshape', () => {
    const { bytes, inputBytes, outputBytes } = costOf(graphOf(({ x }) => ({ y: tf.exp(tf.reshape(x!, [12])) })));
    expect(bytes).toBe(2 * 12 * 4);
    expect([inputBytes, outputBytes]).toEqual([(12 + 20 + 5) * 4, 12 * 4]);
  });

  it('finds the peak of live memory: a result lives until its last use, outputs are not counted', () => {
    // a and b are alive together, then b and c; y is an output.
    const { peakBytes } = costOf(
      graphOf(({ x }) => {
        const a = tf.exp(x!);
        const b = tf.neg(a);
        const c = tf.sqrt(tf.reshape(b, [12]));
        return { y: tf.add(tf.reshape(c, [3, 4]), b) };
      }),
    );
    expect(peakBytes).toBe(2 * 12 * 4);
  });
});

it('prints a graph, one line a node', () => {
  const text = printGraph(graphOf(({ x, w, b }) => ({ y: tf.mul(tf.matMul(w!, x!, true, true), 2), z: tf.sum(b!) })));
  expect(text.split('\n')).toEqual([
    'input x float32[3,4]',
    'input w float32[4,5]',
    'input b float32[5]',
    '%0 float32[5,3] = matmul(w, x) transposeA transposeB alpha=1',
    '%1 float32[5,3] = mul(%0, [2])',
    '%2 float32[] = reduceSum(b) axes=[0]',
    'output y = %1',
    'output z = %2',
  ]);
});

it('traces a function to text and cost', () => {
  const { text, cost } = traceGraph('square', ({ x }) => ({ y: tf.square(x!) }), { x: { shape: [8] } });
  expect(text).toContain('mul(x, x)');
  expect(cost.flops).toBe(8);
});
