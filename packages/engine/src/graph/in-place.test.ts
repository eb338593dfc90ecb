import type { Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { installGradients } from '../gradients.js';
import { tf } from '../tfjs.js';
import { checkInPlace } from './in-place.js';
import { record } from './recorder.js';
import { simplify } from './simplify.js';

installGradients();
const specs = { x: { shape: [4, 4] }, y: { shape: [4, 4] } };
type Fn = (x: Tensor, y: Tensor) => Record<string, Tensor>;

function check(fn: Fn): () => void {
  const graph = simplify(record('test', ({ x, y }) => fn(x!, y!), specs));
  return () => checkInPlace(graph, { out: 'x' });
}

describe('an output may be written over an input', () => {
  it.each<[string, Fn]>([
    ['when the writer is its only reader', (x, y) => ({ out: tf.add(x, y) })],
    [
      'when the other readers come before',
      (x, y) => ({ out: tf.add(tf.mul(x, 2), tf.matMul(x as never, y as never)) }),
    ],
    [
      'when what is read later is the output',
      (x, y) => {
        const out = tf.add(x, y);
        return { out, more: tf.exp(out) };
      },
    ],
  ])('%s', (_, fn) => expect(check(fn)).not.toThrow());
});

describe('an output may not be written over an input', () => {
  it.each<[string, Fn, string]>([
    ['that something else reads, perhaps later', (x, y) => ({ out: tf.add(x, y), other: tf.exp(x) }), 'read later'],
    ['by an operation that reads other elements', (x, y) => ({ out: tf.matMul(x as never, y as never) }), 'matmul'],
    [
      'that is read through a reshape later',
      (x, y) => ({ out: tf.add(x, y), other: tf.exp(tf.reshape(x, [16])) }),
      'read later',
    ],
    ['that is an output itself', (x, y) => ({ out: tf.add(x, y), same: x }), 'output itself'],
    ['of another shape', (x) => ({ out: tf.mul(tf.sum(x), 2) }), 'shape'],
  ])('%s', (_, fn, reason) => expect(check(fn)).toThrow(reason));
});
