import { averagePool, batchNorm, convolution, fixedNorm, globalBatchNorm, relu, tf } from '../index.js';
import type { CaseInput, OperationCase } from './operation-case.js';
import { add, at, build, map, mean, type ReferenceArray, reduce, transpose, zip } from './reference-array.js';

/** Legend as in ops/convolution.ts: n samples, h and w rows and columns, c channels in, e channels out. */
type Shape4 = readonly [number, number, number, number];

/** Filter [rows,columns,c,e]. */
function convolved(x: ReferenceArray, filter: ReferenceArray, stride: number, padding: number): ReferenceArray {
  const [n, height, width] = x.shape as unknown as Shape4;
  const [rows, columns, channels, e] = filter.shape as unknown as Shape4;
  const extent = (size: number, taps: number) => Math.floor((size + 2 * padding - taps) / stride) + 1;
  return build([n, extent(height, rows), extent(width, columns), e], ([sample, row, column, out]) => {
    let total = 0;
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        for (let c = 0; c < channels; c++) {
          const [y, z] = [row! * stride - padding + i, column! * stride - padding + j];
          if (y < 0 || y >= height || z < 0 || z >= width) continue;
          total += at(x, [sample!, y, z, c]) * at(filter, [i, j, c, out!]);
        }
    return total;
  });
}

const CONVOLUTIONS: [pictures: Shape4, filter: Shape4, stride: number, padding: number][] = [
  [[2, 4, 5, 3], [3, 3, 3, 2], 1, 1],
  [[2, 6, 4, 3], [3, 3, 3, 4], 2, 1],
  [[1, 7, 5, 2], [3, 3, 2, 3], 2, 1],
  [[2, 5, 4, 1], [2, 3, 1, 2], 1, 0],
  [[1, 8, 7, 2], [2, 2, 2, 3], 3, 0],
  [[1, 3, 3, 2], [5, 5, 2, 1], 1, 2],
  [[2, 3, 4, 3], [1, 1, 3, 5], 1, 0],
  [[2, 5, 4, 3], [1, 1, 3, 2], 2, 0],
];

const normInputs = (n: number, c: number): Record<string, CaseInput> => ({
  x: { shape: [n, c] },
  gain: { shape: [c], min: 0.5 },
  bias: { shape: [c] },
});

function normalized(x: ReferenceArray, gain: ReferenceArray, bias: ReferenceArray): ReferenceArray {
  const centred = zip(x, reduce(x, [0], true, mean), (a, m) => a - m);
  const variance = reduce(
    map(centred, (a) => a * a),
    [0],
    true,
    mean,
  );
  const normal = zip(centred, variance, (a, v) => a / Math.sqrt(v + 1e-5));
  return add(
    zip(normal, gain, (a, g) => a * g),
    bias,
  );
}

export const PICTURE_CASES: readonly OperationCase[] = [
  ...CONVOLUTIONS.flatMap(([x, filter, stride, padding]): OperationCase[] => {
    const [rows, columns, c, e] = filter;
    const window = `[${x}] with a filter of ${rows} x ${columns} at stride ${stride}, padded by ${padding}`;
    return [
      {
        name: `tf.conv2d of ${window}`,
        inputs: { x: { shape: x }, filter: { shape: filter } },
        compute: ({ x, filter }) => tf.conv2d(x as never, filter as never, stride, padding || 'valid'),
        reference: ({ x, filter }) => convolved(x!, filter!, stride, padding),
      },
      {
        name: `convolution of ${window}`,
        inputs: { x: { shape: x }, w: { shape: [e, c, rows, columns] } },
        compute: ({ x, w }) => convolution(x!, w!, { stride, padding }),
        reference: ({ x, w }) => convolved(x!, transpose(w!, [2, 3, 1, 0]), stride, padding),
      },
    ];
  }),
  ...(
    [
      [[2, 4, 6, 3], 2],
      [[1, 6, 3, 2], 3],
    ] as [Shape4, number][]
  ).map(
    ([shape, size]): OperationCase => ({
      name: `averagePool of [${shape}] by ${size}`,
      inputs: { x: { shape } },
      compute: ({ x }) => averagePool(x!, size),
      reference: ({ x }) => {
        const [n, h, w, c] = shape;
        const squares = { shape: [n, h / size, size, w / size, size, c], data: x!.data };
        return reduce(squares, [2, 4], false, mean);
      },
    }),
  ),
  {
    name: 'relu',
    inputs: { x: { shape: [3, 5] } },
    compute: ({ x }) => relu(x!),
    reference: ({ x }) => map(x!, (v) => Math.max(v, 0)),
  },
  ...(
    [
      [6, 3],
      [9, 1],
    ] as [number, number][]
  ).flatMap(([n, c]): OperationCase[] => [
    {
      name: `batchNorm of ${n} rows of ${c}`,
      inputs: normInputs(n, c),
      compute: ({ x, gain, bias }) => batchNorm(x!, gain!, bias!, ({ mean, variance }) => tf.dispose([mean, variance])),
      reference: ({ x, gain, bias }) => normalized(x!, gain!, bias!),
    },
    {
      name: `globalBatchNorm of ${n} rows of ${c}, which are all`,
      inputs: normInputs(n, c),
      compute: ({ x, gain, bias }) =>
        globalBatchNorm(x!, gain!, bias!, { statistics: (own) => own, cotangents: (own) => own }),
      reference: ({ x, gain, bias }) => normalized(x!, gain!, bias!),
    },
    {
      name: `fixedNorm of ${n} rows of ${c}`,
      inputs: { ...normInputs(n, c), mean: { shape: [c] }, variance: { shape: [c], min: 0.5 } },
      compute: ({ x, gain, bias, mean, variance }) => fixedNorm(x!, gain!, bias!, { mean: mean!, variance: variance! }),
      reference: ({ x, gain, bias, mean, variance }) => {
        const normal = zip(
          zip(x!, mean!, (a, m) => a - m),
          variance!,
          (a, v) => a / Math.sqrt(v + 1e-5),
        );
        return add(
          zip(normal, gain!, (a, g) => a * g),
          bias!,
        );
      },
    },
  ]),
];
