import { tf } from '../index.js';
import type { OperationCase } from './operation-case.js';
import { at, build, mean, type ReferenceArray, reduce, softmax, sum, transpose } from './reference-array.js';

const reshaped = (x: ReferenceArray, shape: number[]): ReferenceArray => ({ shape, data: x.data });

const REDUCTIONS: [shape: number[], axes: number[] | undefined, keepDims: boolean][] = [
  [[7], undefined, false],
  [[3, 5], [0], false],
  [[3, 5], [-1], true],
  [[2, 3, 4], [0, 2], false],
  [[2, 3, 4], [2, 1], true],
  [[2, 3, 1, 2], undefined, false],
];

const reductions: OperationCase[] = (
  [
    ['sum', tf.sum, sum],
    ['mean', tf.mean, mean],
    ['max', tf.max, (values) => Math.max(...values)],
    ['min', tf.min, (values) => Math.min(...values)],
  ] as [string, typeof tf.sum, (values: number[]) => number][]
).flatMap(([name, compute, reference]) =>
  REDUCTIONS.map(([shape, axes, keepDims]) => ({
    name: `${name} of [${shape}] over ${axes === undefined ? 'everything' : `[${axes}]`}${keepDims ? ', axes kept' : ''}`,
    inputs: { x: { shape } },
    compute: ({ x }) => compute(x!, axes, keepDims),
    reference: ({ x }) =>
      reduce(
        x!,
        (axes ?? shape.map((_, i) => i)).map((axis) => (axis + shape.length) % shape.length),
        keepDims,
        reference,
      ),
  })),
);

export const SHAPE_CASES: readonly OperationCase[] = [
  ...reductions,
  ...[[5], [3, 4], [2, 3, 7]].map(
    (shape): OperationCase => ({
      name: `softmax of [${shape}]`,
      inputs: { x: { shape, min: -8, max: 8 } },
      compute: ({ x }) => tf.softmax(x!),
      reference: ({ x }) => softmax(x!),
    }),
  ),
  {
    name: 'softmax of values that overflow an exponential',
    inputs: { x: { shape: [2, 3], integers: [500, 499, 0, -500, -501, -499] } },
    compute: ({ x }) => tf.softmax(tf.cast(x!, 'float32')),
    reference: ({ x }) => softmax(x!),
    gradient: false,
  },

  {
    name: 'reshape with an extent left out',
    inputs: { x: { shape: [2, 6] } },
    compute: ({ x }) => tf.mul(tf.reshape(x!, [-1, 3]), tf.reshape(x!, [4, 3])),
    reference: ({ x }) => reshaped({ ...x!, data: x!.data.map((v) => v * v) }, [4, 3]),
  },
  {
    name: 'expandDims and squeeze',
    inputs: { x: { shape: [2, 3] } },
    compute: ({ x }) => tf.expandDims(tf.expandDims(tf.squeeze(tf.expandDims(x!, 0)), -1), 1),
    reference: ({ x }) => reshaped(x!, [2, 1, 3, 1]),
  },
  ...[
    [1, 0],
    [2, 0, 1],
    [0, 2, 1, 3],
    [3, 1, 0, 2],
    [0, 1, 3, 2, 4],
  ].map(
    (perm): OperationCase => ({
      name: `transpose by [${perm}]`,
      inputs: { x: { shape: [2, 3, 4, 5, 2].slice(0, perm.length) } },
      compute: ({ x }) => tf.transpose(x!, perm),
      reference: ({ x }) => transpose(x!, perm),
    }),
  ),
  ...[0, 1, -1].map(
    (axis): OperationCase => ({
      name: `concat along ${axis}`,
      inputs: Object.fromEntries(
        ['a', 'b', 'c'].map((name, i) => [
          name,
          { shape: axis === 0 ? [i + 1, 2, 2] : axis === 1 ? [2, i + 1, 2] : [2, 2, i + 1] },
        ]),
      ),
      compute: ({ a, b, c }) => tf.concat([a!, b!, c!], axis),
      reference: ({ a, b, c }) => {
        const along = axis < 0 ? 2 : axis;
        const shape = [2, 2, 2];
        shape[along] = 6;
        return build(shape, (index) => {
          const parts = [a!, b!, c!];
          const local = [...index];
          let part = 0;
          while (local[along]! >= parts[part]!.shape[along]!) local[along]! -= parts[part++]!.shape[along]!;
          return at({ ...parts[part]!, shape: parts[part]!.shape }, local);
        });
      },
    }),
  ),
  {
    name: 'split in unequal parts',
    inputs: { x: { shape: [3, 6] } },
    compute: ({ x }) => {
      const [a, b, c] = tf.split(x!, [1, 3, 2], 1);
      return tf.concat([tf.mul(c!, 2), a!, tf.square(b!)], 1);
    },
    reference: ({ x }) =>
      build([3, 6], ([row, column]) => {
        const from = (index: number) => at(x!, [row!, index]);
        if (column! < 2) return 2 * from(4 + column!);
        return column === 2 ? from(0) : from(column! - 2) ** 2;
      }),
  },
  {
    name: 'split in equal parts of which one is unused',
    inputs: { x: { shape: [4, 3] } },
    compute: ({ x }) => tf.split(x!, 2, 0)[1]!,
    reference: ({ x }) => build([2, 3], ([row, column]) => at(x!, [row! + 2, column!])),
  },
  {
    name: 'slice from the middle',
    inputs: { x: { shape: [4, 3, 5] } },
    compute: ({ x }) => tf.slice(x!, [1, 0, 2], [2, -1, 2]),
    reference: ({ x }) => build([2, 3, 2], ([i, j, k]) => at(x!, [i! + 1, j!, k! + 2])),
  },
  {
    name: 'pad with a value',
    inputs: { x: { shape: [2, 3] } },
    compute: ({ x }) =>
      tf.pad(
        x!,
        [
          [1, 0],
          [2, 1],
        ],
        0.5,
      ),
    reference: ({ x }) => build([3, 6], ([i, j]) => (i! < 1 || j! < 2 || j! > 4 ? 0.5 : at(x!, [i! - 1, j! - 2]))),
  },
  {
    name: 'tile',
    inputs: { x: { shape: [2, 3] } },
    compute: ({ x }) => tf.tile(x!, [2, 3]),
    reference: ({ x }) => build([4, 9], ([i, j]) => at(x!, [i! % 2, j! % 3])),
  },

  {
    name: 'gather of rows, repeated',
    inputs: { x: { shape: [4, 3] }, i: { shape: [5], integers: [3, 0, 3, 1, 3] } },
    compute: ({ x, i }) => tf.gather(x!, i!),
    reference: ({ x, i }) => build([5, 3], ([row, column]) => at(x!, [i!.data[row!]!, column!])),
  },
  {
    name: 'gather of columns by a matrix of indices',
    inputs: { x: { shape: [2, 4] }, i: { shape: [2, 2], integers: [3, 0, 0, 1] } },
    compute: ({ x, i }) => tf.gather(x!, i!, 1),
    reference: ({ x, i }) => build([2, 2, 2], ([row, a, b]) => at(x!, [row!, at(i!, [a!, b!])])),
  },
  ...[
    { shape: [6], segments: 3 },
    { shape: [6, 2], segments: 4 },
    { shape: [6, 2, 3], segments: 3 },
  ].map(
    ({ shape, segments }): OperationCase => ({
      name: `segmentSum of [${shape}]`,
      inputs: { x: { shape }, s: { shape: [6], integers: [2, 0, 2, 2, 0, 2] } },
      compute: ({ x, s }) => tf.unsortedSegmentSum(x!, s as never, segments),
      reference: ({ x, s }) =>
        build([segments, ...shape.slice(1)], ([segment, ...rest]) =>
          sum([0, 1, 2, 3, 4, 5].filter((row) => s!.data[row] === segment).map((row) => at(x!, [row, ...rest]))),
        ),
    }),
  ),
];
