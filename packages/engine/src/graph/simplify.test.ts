import type { Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { installGradients } from '../gradients.js';
import { tf } from '../tfjs.js';
import { printGraph } from './print.js';
import { record } from './recorder.js';
import { simplify } from './simplify.js';

installGradients();

/** The lines of a simplified function of x [2,3], without its input. */
const lines = (fn: (x: Tensor) => Tensor): string[] =>
  printGraph(simplify(record('test', ({ x }) => ({ y: fn(x!) }), { x: { shape: [2, 3] } })))
    .split('\n')
    .slice(1);

describe('a simplified graph', () => {
  it.each<[string, (x: Tensor) => Tensor]>([
    ['products and quotients with 1', (x) => tf.div(tf.mul(1, tf.mul(x, 1)), 1)],
    ['transposes that keep every axis', (x) => tf.transpose(x, [0, 1])],
    [
      'slices of everything, padding by nothing, single tiles',
      (x) =>
        tf.tile(
          tf.pad(tf.slice(x, [0, 0]), [
            [0, 0],
            [0, 0],
          ]),
          [1, 1],
        ),
    ],
    ['reshapes there and back', (x) => tf.reshape(tf.reshape(x, [6]), [2, 3])],
  ])('has no %s', (_, fn) => expect(lines(fn)).toEqual(['output y = x']));

  it('computes constants once, while compiling', () => {
    const two = () => tf.div(tf.scalar(6), tf.scalar(3));
    expect(lines((x) => tf.mul(x, tf.neg(tf.add(two(), tf.sqrt(tf.scalar(16))))))).toEqual([
      '%0 float32[2,3] = mul(x, [-6])',
      'output y = %0',
    ]);
  });

  it('rounds folded constants to float32', () => {
    const third = Math.fround(1 / 3);
    expect(lines((x) => tf.mul(x, tf.div(tf.scalar(1), tf.scalar(3))))[0]).toBe(`%0 float32[2,3] = mul(x, [${third}])`);
  });

  it('computes equal expressions once and leaves out what no output needs', () => {
    expect(
      lines((x) => {
        tf.exp(x);
        return tf.add(tf.sqrt(x), tf.sqrt(x));
      }),
    ).toEqual(['%0 float32[2,3] = sqrt(x)', '%1 float32[2,3] = add(%0, %0)', 'output y = %1']);
  });

  it('keeps a product with 1 that broadcasts', () => {
    expect(lines((x) => tf.mul(tf.sum(x), tf.tensor([1]))).at(-2)).toContain('float32[1] = mul');
  });

  it('tells infinities, and 0 from -0', () => {
    const pad = (x: Tensor, value: number) =>
      tf.pad(
        x,
        [
          [1, 0],
          [0, 0],
        ],
        value,
      );
    const text = lines((x) => tf.concat([pad(x, Infinity), pad(x, -Infinity)], 0)).join();
    expect(text).toContain('value=Infinity');
    expect(text).toContain('value=-Infinity');
    expect(lines((x) => tf.add(tf.div(x, tf.scalar(0)), tf.div(x, tf.neg(tf.scalar(0))))).slice(0, 2)).toEqual([
      '%0 float32[2,3] = div(x, [0])',
      '%1 float32[2,3] = div(x, [-0])',
    ]);
  });
});
