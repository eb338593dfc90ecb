import { type Tensor, tf } from '../index.js';
import type { OperationCase } from './operation-case.js';
import { add, build, erf, map, zip } from './reference-array.js';

type Unary = [name: string, compute: (x: Tensor) => Tensor, reference: (x: number) => number, range?: [number, number]];

const POSITIVE: [number, number] = [0.3, 3];
const unaries: Unary[] = [
  ['exp', tf.exp, Math.exp],
  ['log', tf.log, Math.log, POSITIVE],
  ['sqrt', tf.sqrt, Math.sqrt, POSITIVE],
  ['rsqrt', tf.rsqrt, (x) => 1 / Math.sqrt(x), POSITIVE],
  ['reciprocal', tf.reciprocal, (x) => 1 / x, POSITIVE],
  ['neg', tf.neg, (x) => -x],
  ['square', tf.square, (x) => x * x],
  ['sigmoid', tf.sigmoid, (x) => 1 / (1 + Math.exp(-x))],
  ['erf', tf.erf, erf],
  ['tanh', tf.tanh, Math.tanh],
  ['abs', tf.abs, Math.abs],
  ['relu', tf.relu, (x) => Math.max(0, x)],
  ['floor', tf.floor, Math.floor],
  ['sign', tf.sign, Math.sign],
];

const SHAPES: [a: number[], b: number[]][] = [
  [
    [3, 5],
    [3, 5],
  ],
  [
    [4, 1],
    [1, 3],
  ],
  [[2, 3, 5], [5]],
  [[7], []],
  [
    [1, 2, 1, 3],
    [2, 2, 4, 1],
  ],
];

type Binary = [
  name: string,
  compute: (a: Tensor, b: Tensor) => Tensor,
  reference: (a: number, b: number) => number,
  kind?: string,
];

const binaries: Binary[] = [
  ['add', tf.add, (a, b) => a + b],
  ['sub', tf.sub, (a, b) => a - b],
  ['mul', tf.mul, (a, b) => a * b],
  ['div', tf.div, (a, b) => a / b, 'positive'],
  ['pow', tf.pow, (a, b) => a ** b, 'positive'],
  ['maximum', tf.maximum, Math.max],
  ['minimum', tf.minimum, Math.min],
  ['squaredDifference', tf.squaredDifference, (a, b) => (a - b) ** 2],
];

const comparisons: Binary[] = [
  ['greater', tf.greater, (a, b) => Number(a > b)],
  ['greaterEqual', tf.greaterEqual, (a, b) => Number(a >= b)],
  ['less', tf.less, (a, b) => Number(a < b)],
  ['lessEqual', tf.lessEqual, (a, b) => Number(a <= b)],
  ['equal', tf.equal, (a, b) => Number(a === b)],
];

const onBools: Binary[] = [
  ['logicalAnd', (a, b) => tf.logicalAnd(a, b), (a, b) => Number(a > 0 && b > 0)],
  ['logicalOr', (a, b) => tf.logicalOr(a, b), (a, b) => Number(a > 0 || b > 0)],
  ['logicalAnd of logicalNot', (a, b) => tf.logicalAnd(tf.logicalNot(a), b), (a, b) => Number(!(a > 0) && b > 0)],
];

export const ELEMENTWISE_CASES: readonly OperationCase[] = [
  ...unaries.flatMap(([name, compute, reference, [min, max] = [-2, 2]]) =>
    [[], [7], [2, 3, 5]].map(
      (shape): OperationCase => ({
        name: `${name} of [${shape}]`,
        inputs: { x: { shape, min, max } },
        compute: ({ x }) => compute(x!),
        reference: ({ x }) => map(x!, reference),
      }),
    ),
  ),
  ...binaries.flatMap(([name, compute, reference, kind]) =>
    SHAPES.map(([a, b]): OperationCase => {
      const [min, max] = kind === 'positive' ? [0.5, 2] : [-2, 2];
      return {
        name: `${name} of [${a}] and [${b}]`,
        inputs: { a: { shape: a, min, max }, b: { shape: b, min, max } },
        compute: (inputs) => compute(inputs.a!, inputs.b!),
        reference: (inputs) => zip(inputs.a!, inputs.b!, reference),
      };
    }),
  ),
  ...comparisons.map(
    ([name, compute, reference]): OperationCase => ({
      name: `${name} of small integers`,
      inputs: {
        a: { shape: [4, 1], integers: [-1, 0, 1, 2] },
        b: { shape: [3], integers: [0, 1, 2] },
      },
      compute: ({ a, b }) => tf.cast(compute(tf.cast(a!, 'float32')!, tf.cast(b!, 'float32')!), 'float32'),
      reference: ({ a, b }) => zip(a!, b!, reference),
      gradient: false,
    }),
  ),
  ...onBools.map(
    ([name, compute, reference]): OperationCase => ({
      name,
      inputs: { a: { shape: [5, 1] }, b: { shape: [4] } },
      compute: ({ a, b }) => tf.cast(compute(tf.greater(a!, 0), tf.greater(b!, 0)), 'float32'),
      reference: ({ a, b }) => zip(a!, b!, reference),
      gradient: false,
    }),
  ),
  {
    name: 'where of a comparison',
    inputs: { a: { shape: [3, 4] }, b: { shape: [3, 4] } },
    compute: ({ a, b }) => tf.where(tf.greater(a!, 0), tf.mul(a!, b!), tf.square(b!)),
    reference: ({ a, b }) => zip(a!, b!, (x, y) => (x > 0 ? x * y : y * y)),
  },
  {
    name: 'addN',
    inputs: { a: { shape: [3, 2] }, b: { shape: [3, 2] }, c: { shape: [3, 2] } },
    compute: ({ a, b, c }) => tf.addN([a!, b!, c!]),
    reference: ({ a, b, c }) => add(add(a!, b!), c!),
  },
  {
    name: 'clone',
    inputs: { x: { shape: [3] } },
    compute: ({ x }) => tf.mul(tf.clone(x!), x!),
    reference: ({ x }) => map(x!, (v) => v * v),
  },
  {
    name: 'constants: fill, zerosLike, onesLike, scalars, tensors',
    inputs: { x: { shape: [2, 3] } },
    compute: ({ x }) =>
      tf.add(
        tf.add(tf.mul(x!, tf.fill([2, 3], 0.5)), tf.mul(3, tf.onesLike(x!))),
        tf.add(tf.zerosLike(x!), tf.tensor([1, -2, 4])),
      ),
    reference: ({ x }) => zip(x!, { shape: [3], data: Float64Array.of(1, -2, 4) }, (v, c) => 0.5 * v + 3 + c),
  },
  {
    name: 'arithmetic of int32',
    inputs: { a: { shape: [2, 2], integers: [7, -3, 100_000, 5] }, b: { shape: [2], integers: [2, -9] } },
    compute: ({ a, b }) => tf.maximum(tf.sub(tf.mul(a!, b!), b!), tf.add(a!, b!)),
    reference: ({ a, b }) => zip(a!, b!, (x, y) => Math.max(x * y - y, x + y)),
    gradient: false,
  },
  {
    name: 'cast to int32, which cuts towards zero',
    inputs: { x: { shape: [9], min: -4, max: 4 } },
    compute: ({ x }) => tf.cast(x!, 'int32'),
    reference: ({ x }) => map(x!, Math.trunc),
    gradient: false,
  },
  {
    name: 'cast from int32',
    inputs: { x: { shape: [3], integers: [-7, 0, 16_777_217] } },
    compute: ({ x }) => tf.mul(tf.cast(x!, 'float32'), 0.5),
    reference: ({ x }) => map(x!, (v) => Math.fround(v) / 2),
    gradient: false,
  },
  {
    name: 'large and small arguments of exp, sigmoid and tanh',
    inputs: { x: { shape: [6], integers: [-200, -90, -1, 1, 80, 200] } },
    compute: ({ x }) => {
      const v = tf.cast(x!, 'float32');
      return tf.add(tf.add(tf.sigmoid(v), tf.tanh(v)), tf.exp(tf.minimum(v, 10)));
    },
    reference: ({ x }) => map(x!, (v) => 1 / (1 + Math.exp(-v)) + Math.tanh(v) + Math.exp(Math.min(v, 10))),
    gradient: false,
  },
  {
    name: 'log of zero, division by zero',
    inputs: { x: { shape: [3], integers: [0, 1, -1] } },
    compute: ({ x }) => tf.concat([tf.log(tf.abs(tf.cast(x!, 'float32'))), tf.div(1, tf.cast(x!, 'float32'))]),
    reference: ({ x }) => build([6], ([i]) => (i! < 3 ? Math.log(Math.abs(x!.data[i!]!)) : 1 / x!.data[i! - 3]!)),
    gradient: false,
  },
];
