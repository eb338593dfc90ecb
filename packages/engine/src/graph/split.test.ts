import type { Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { installGradients } from '../gradients.js';
import { tf } from '../tfjs.js';
import { checkInPlaceStages } from './in-place.js';
import { record } from './recorder.js';
import { type KeptValue, outputStages, splitGraph } from './split.js';
import { planTape } from './tape-memory.js';

installGradients();
const matrix = { shape: [40, 40] };
const specs = { x: matrix, column: { shape: [40] }, a: matrix, b: matrix };
type Inputs = Record<keyof typeof specs, Tensor>;
const graphOf = (fn: (inputs: Inputs) => Record<string, Tensor>) =>
  record('test', (inputs) => fn(inputs as Inputs), specs);

/** The operations of each stage, where `a` and then `b` arrive late. */
function operations(fn: (inputs: Inputs) => Record<string, Tensor>): string[] {
  const { stages } = splitGraph(graphOf(fn), [['a'], ['b']]);
  return stages.map(({ nodes }) => nodes.map(({ operation }) => operation.op).join(' '));
}

describe('a node runs', () => {
  it('when its last operand has arrived', () => {
    const fn = ({ x, a, b }: Inputs) => ({ first: tf.exp(x), second: tf.add(tf.exp(x), a), third: tf.mul(b, x) });
    expect(operations(fn)).toEqual(['exp exp', 'add', 'mul']);
    expect([...outputStages(graphOf(fn), [['a'], ['b']])]).toEqual([
      ['first', 0],
      ['second', 1],
      ['third', 2],
    ]);
  });

  it('again in each stage that reads it, if it is a reshape or a fill', () => {
    const fn = ({ x, a, b }: Inputs) => {
      const h = tf.reshape(tf.exp(x), [1600]);
      return { middle: tf.mul(h, tf.reshape(a, [1600])), late: tf.mul(h, tf.fill([1600], 2)), b };
    };
    expect(operations(fn)).toEqual(['exp reshape fill mul', 'reshape reshape mul', '']);
  });
});

it('an output may not be written over an input that a later stage reads', () => {
  const check = (fn: (inputs: Inputs) => Record<string, Tensor>) => {
    const graph = graphOf(fn);
    return () => checkInPlaceStages(graph, splitGraph(graph, [['a'], ['b']]).stages, { out: 'x' });
  };
  expect(check(({ x, a, b }) => ({ out: tf.add(x, a), other: tf.exp(b) }))).not.toThrow();
  expect(check(({ x, a, b }) => ({ out: tf.add(x, a), other: tf.mul(tf.reshape(x, [40, 40, 1]), b) }))).toThrow(
    /`out` cannot be written over input `x`/,
  );
});

describe('kept values', () => {
  const kept = (...spans: [madeIn: number, lastReadIn: number, size: number][]): Map<string, KeptValue> =>
    new Map(
      spans.map(([madeIn, lastReadIn, size], i) => {
        const value = { kind: 'constant', shape: [size], dtype: 'float32', data: new Float32Array(0) } as const;
        return [`${i}`, { value, madeIn, lastReadIn }];
      }),
    );

  it('share memory when no stage needs both', () => {
    const values = kept([0, 1, 10], [0, 3, 20], [1, 2, 10], [2, 3, 8], [2, 3, 4]);
    const { arrays, placeOf } = planTape(values);
    const place = (i: number) => placeOf.get(`${i}`);
    // The first is free after stage 1, so not for what that stage makes.
    expect(place(3)).toBe(place(0));
    expect(new Set([0, 1, 2, 4].map(place)).size).toBe(4);
    expect(arrays).toEqual([80, 40, 40, 16]);
  });

  it('never lie in too small an array', () => {
    expect(planTape(kept([0, 1, 4], [2, 3, 5])).arrays).toEqual([16, 20]);
  });
});
