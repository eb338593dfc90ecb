import {
  attention,
  columnSum,
  geluLinear,
  gemm,
  l2Normalize,
  layerNorm,
  linear,
  matmul,
  normLinear,
  rows,
  silu,
  type Tensor,
  tf,
} from '../index.js';
import { blockedAttention } from '../ops/attention.js';
import type { CaseInput, OperationCase } from './operation-case.js';
import {
  add,
  at,
  build,
  erf,
  map,
  mean,
  product,
  type ReferenceArray,
  reduce,
  softmax,
  sum,
  swapped,
  zip,
} from './reference-array.js';

/** Legend as in ops/layers.ts: n rows, d width in, e width out, h heads, t tokens, c width of a head. */
const last = (x: ReferenceArray): number[] => [x.shape.length - 1];

function normalized(x: ReferenceArray, gain: ReferenceArray, bias: ReferenceArray, epsilon = 1e-5): ReferenceArray {
  const centred = zip(x, reduce(x, last(x), true, mean), (a, m) => a - m);
  const variance = reduce(
    map(centred, (a) => a * a),
    last(x),
    true,
    mean,
  );
  const normal = zip(centred, variance, (a, v) => a / Math.sqrt(v + epsilon));
  return add(
    zip(normal, gain, (a, g) => a * g),
    bias,
  );
}

const linearOf = (x: ReferenceArray, w: ReferenceArray, b: ReferenceArray): ReferenceArray =>
  add(product(x, swapped(w)), b);

function attentionOf(q: ReferenceArray, k: ReferenceArray, v: ReferenceArray, mask?: ReferenceArray): ReferenceArray {
  const scores = map(product(q, swapped(k)), (s) => s / Math.sqrt(q.shape.at(-1)!));
  return product(softmax(mask === undefined ? scores : add(scores, mask)), v);
}

const causalMask = (): Tensor => tf.tensor(Float32Array.from(CAUSAL.data), [...CAUSAL.shape]);

const CAUSAL = build([1, 5, 5], ([, i, j]) => (j! > i! ? -1e9 : 0));

const layers: OperationCase[] = [
  ...[
    [5, 3, 4],
    [1, 7, 1],
    [2, 3, 5],
  ].flatMap(([n, d, e]): OperationCase[] => {
    const inputs: Record<string, CaseInput> = { x: { shape: [n!, d!] }, w: { shape: [e!, d!] }, b: { shape: [e!] } };
    const norm: Record<string, CaseInput> = {
      x: { shape: [n!, d!] },
      gain: { shape: [d!], min: 0.5 },
      bias: { shape: [d!] },
    };
    return [
      {
        name: `linear, ${n} rows from ${d} to ${e}`,
        inputs,
        compute: ({ x, w, b }) => linear(x!, w!, b!),
        reference: ({ x, w, b }) => linearOf(x!, w!, b!),
      },
      {
        name: `linear with a residual, ${n} rows from ${d} to ${e}`,
        inputs: { ...inputs, r: { shape: [n!, e!] } },
        compute: ({ x, w, b, r }) => linear(x!, w!, b!, r!),
        reference: ({ x, w, b, r }) => add(linearOf(x!, w!, b!), r!),
      },
      {
        name: `linear times 0.5, ${n} rows from ${d} to ${e}`,
        inputs: { ...inputs, r: { shape: [n!, e!] } },
        compute: ({ x, w, b, r }) => linear(x!, w!, b!, r!, 0.5),
        reference: ({ x, w, b, r }) =>
          add(
            linearOf(
              map(x!, (v) => v / 2),
              w!,
              b!,
            ),
            r!,
          ),
      },
      {
        name: `layerNorm, ${n} rows of ${d}`,
        inputs: norm,
        compute: ({ x, gain, bias }) => layerNorm(x!, gain!, bias!),
        reference: ({ x, gain, bias }) => normalized(x!, gain!, bias!),
      },
      {
        name: `normLinear, ${n} rows from ${d} to ${e}`,
        inputs: { ...norm, w: { shape: [e!, d!] }, b: { shape: [e!] } },
        compute: ({ x, gain, bias, w, b }) => normLinear(x!, gain!, bias!, w!, b!),
        reference: ({ x, gain, bias, w, b }) => linearOf(normalized(x!, gain!, bias!), w!, b!),
      },
      {
        name: `normLinear with an epsilon of its own, ${n} rows from ${d} to ${e}`,
        inputs: { ...norm, w: { shape: [e!, d!] }, b: { shape: [e!] } },
        compute: ({ x, gain, bias, w, b }) =>
          normLinear(layerNorm(x!, gain!, bias!, 1e-2), gain!, bias!, w!, b!, 1, 1e-3),
        reference: ({ x, gain, bias, w, b }) =>
          linearOf(normalized(normalized(x!, gain!, bias!, 1e-2), gain!, bias!, 1e-3), w!, b!),
      },
      {
        name: `normLinear times 1.5, ${n} rows from ${d} to ${e}`,
        inputs: { ...norm, w: { shape: [e!, d!] }, b: { shape: [e!] } },
        compute: ({ x, gain, bias, w, b }) => normLinear(x!, gain!, bias!, w!, b!, 1.5),
        reference: ({ x, gain, bias, w, b }) => map(linearOf(normalized(x!, gain!, bias!), w!, b!), (v) => 1.5 * v),
      },
    ];
  }),
  {
    name: 'silu',
    inputs: { x: { shape: [3, 5], min: -4, max: 4 } },
    compute: ({ x }) => silu(x!),
    reference: ({ x }) => map(x!, (v) => v / (1 + Math.exp(-v))),
  },
  ...[
    [3, 5, 4],
    [4, 3, 6],
  ].map(
    ([n, d, e]): OperationCase => ({
      name: `geluLinear, ${n} rows from ${d} to ${e}`,
      inputs: {
        x: { shape: [n!, d!], min: -4, max: 4 },
        w: { shape: [e!, d!] },
        b: { shape: [e!] },
        r: { shape: [n!, e!] },
      },
      compute: ({ x, w, b, r }) => geluLinear(x!, w!, b!, r!),
      reference: ({ x, w, b, r }) =>
        add(
          linearOf(
            map(x!, (v) => (v / 2) * (1 + erf(v / Math.SQRT2))),
            w!,
            b!,
          ),
          r!,
        ),
    }),
  ),
  {
    name: 'attention',
    inputs: { q: { shape: [3, 4, 2] }, k: { shape: [3, 4, 2] }, v: { shape: [3, 4, 2] } },
    compute: ({ q, k, v }) => attention(q!, k!, v!),
    reference: ({ q, k, v }) => attentionOf(q!, k!, v!),
  },
  {
    name: 'attention with a causal mask',
    inputs: { q: { shape: [2, 5, 3] }, k: { shape: [2, 5, 3] }, v: { shape: [2, 5, 3] } },
    compute: ({ q, k, v }) => attention(q!, k!, v!, causalMask()),
    reference: ({ q, k, v }) => attentionOf(q!, k!, v!, CAUSAL),
  },
  ...[2, 3, 5].map(
    (queries): OperationCase => ({
      name: `attention in blocks of at most ${queries} of 5 queries`,
      inputs: { q: { shape: [3, 5, 2] }, k: { shape: [3, 5, 2] }, v: { shape: [3, 5, 2] } },
      compute: ({ q, k, v }) => blockedAttention(q!, k!, v!, undefined, queries),
      reference: ({ q, k, v }) => attentionOf(q!, k!, v!),
    }),
  ),
  {
    name: 'attention in blocks with a causal mask',
    inputs: { q: { shape: [2, 5, 3] }, k: { shape: [2, 5, 3] }, v: { shape: [2, 5, 3] } },
    compute: ({ q, k, v }) => blockedAttention(q!, k!, v!, causalMask(), 2),
    reference: ({ q, k, v }) => attentionOf(q!, k!, v!, CAUSAL),
  },
  {
    name: 'rows of a table, repeated',
    inputs: { table: { shape: [4, 3] }, i: { shape: [6], integers: [1, 3, 1, 1, 0, 3] } },
    compute: ({ table, i }) => rows(table!, i!),
    reference: ({ table, i }) => build([6, 3], ([row, column]) => at(table!, [i!.data[row!]!, column!])),
  },
  {
    name: 'l2Normalize',
    inputs: { x: { shape: [4, 3] } },
    compute: ({ x }) => l2Normalize(x!),
    reference: ({ x }) =>
      zip(
        x!,
        reduce(x!, [1], true, (values) => Math.hypot(...values)),
        (v, length) => v / length,
      ),
  },
];

const transposes = [false, true].flatMap((a) => [false, true].map((b) => [a, b] as const));

/** Shapes of operands whose product is [batch..., 3, 5] over an inner extent of 4, stored transposed where told. */
const operands = (
  batchA: number[],
  batchB: number[],
  transposeA: boolean,
  transposeB: boolean,
): Record<string, CaseInput> => ({
  a: { shape: [...batchA, ...(transposeA ? [4, 3] : [3, 4])] },
  b: { shape: [...batchB, ...(transposeB ? [5, 4] : [4, 5])] },
});
const productOf = (a: ReferenceArray, b: ReferenceArray, transposeA: boolean, transposeB: boolean): ReferenceArray =>
  product(transposeA ? swapped(a) : a, transposeB ? swapped(b) : b);

const BATCHES: [a: number[], b: number[]][] = [
  [[], []],
  [[2], [2]],
  [[1], [3]],
  [
    [2, 1],
    [1, 3],
  ],
  [[2, 2], []],
];

/** tfjs's plain JavaScript BatchMatMul (4.22) gives wrong values where both operands are broadcast. */
const lacking = (batchA: number[], batchB: number[]): Pick<OperationCase, 'except'> =>
  batchA.includes(1) && batchB.includes(1) ? { except: 'cpu' } : {};

export const LAYER_CASES: readonly OperationCase[] = [
  ...layers,
  ...BATCHES.flatMap(([batchA, batchB]) =>
    transposes.map(
      ([tA, tB]): OperationCase => ({
        ...lacking(batchA, batchB),
        name: `tf.matMul of [${batchA}]${tA ? 'ᵀ' : ''} and [${batchB}]${tB ? 'ᵀ' : ''}`,
        inputs: operands(batchA, batchB, tA, tB),
        compute: ({ a, b }) => tf.matMul(a!, b!, tA, tB),
        reference: ({ a, b }) => productOf(a!, b!, tA, tB),
      }),
    ),
  ),
  ...BATCHES.flatMap(([batchA, batchB]) =>
    transposes.map(
      ([tA, tB]): OperationCase => ({
        ...lacking(batchA, batchB),
        name: `matmul, scaled, of [${batchA}]${tA ? 'ᵀ' : ''} and [${batchB}]${tB ? 'ᵀ' : ''}`,
        inputs: operands(batchA, batchB, tA, tB),
        compute: ({ a, b }) => matmul(a!, b!, { transposeA: tA, transposeB: tB, alpha: 0.3 }),
        reference: ({ a, b }) => map(productOf(a!, b!, tA, tB), (v) => 0.3 * v),
        gradient: false,
      }),
    ),
  ),
  ...[[3, 5], [5], [1, 5], [3, 1], [1]].flatMap((c) =>
    transposes.map(
      ([tA, tB]): OperationCase => ({
        name: `gemm of ${tA ? 'aᵀ' : 'a'} and ${tB ? 'bᵀ' : 'b'} and c of [${c}]`,
        inputs: { ...operands([], [], tA, tB), c: { shape: c } },
        compute: ({ a, b, c }) => gemm(a!, b!, c!, { transposeA: tA, transposeB: tB }),
        reference: ({ a, b, c }) => add(productOf(a!, b!, tA, tB), c!),
        gradient: false,
      }),
    ),
  ),
  {
    name: 'columnSum',
    inputs: { x: { shape: [7, 3] } },
    compute: ({ x }) => columnSum(x!),
    reference: ({ x }) => reduce(x!, [0], false, sum),
    gradient: false,
  },
];
