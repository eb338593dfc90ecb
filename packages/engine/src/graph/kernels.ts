import type { NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { averagePool, averagePoolGradient, CONVOLUTIONS } from './convolution-kernels.js';
import { type BinaryOperation, sizeOf, type UnaryOperation, type ValueType } from './graph.js';
import type { KernelFunction } from './kernel-function.js';
import type { RecorderBackend } from './recorder-backend.js';

const { backend_util: backendUtil, slice_util: sliceUtil, util } = tf;

const valueType = (info: TensorInfo): ValueType => info.dtype as ValueType;
const broadcast = (a: TensorInfo, b: TensorInfo): number[] => backendUtil.assertAndGetBroadcastShape(a.shape, b.shape);

function axesOf(axis: number | number[] | null | undefined, rank: number): number[] {
  const axes = axis == null ? Array.from({ length: rank }, (_, i) => i) : [axis].flat();
  return axes.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b);
}

const reducedShape = (shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] =>
  keepDims ? shape.map((extent, i) => (axes.includes(i) ? 1 : extent)) : shape.filter((_, i) => !axes.includes(i));

const unary =
  (op: UnaryOperation): KernelFunction =>
  (backend, { x }) =>
    backend.record({ op }, [x], [x.shape], valueType(x))[0]!;

const binary =
  (op: BinaryOperation, dtype?: ValueType): KernelFunction =>
  (backend, { a, b }) =>
    backend.record({ op }, [a, b], [broadcast(a, b)], dtype ?? valueType(a))[0]!;

const reduction =
  (op: 'reduceSum' | 'reduceMean' | 'reduceMax' | 'reduceMin'): KernelFunction =>
  (backend, { x }, { axis, reductionIndices, keepDims }) => {
    const axes = axesOf(axis ?? reductionIndices, x.shape.length);
    if (axes.length === 0) return backend.alias(x);
    return backend.record(
      { op, axes, keepDims: keepDims === true },
      [x],
      [reducedShape(x.shape, axes, keepDims)],
      valueType(x),
    )[0]!;
  };

const reshape = (backend: RecorderBackend, x: TensorInfo, shape: readonly number[]): TensorInfo => {
  const target = util.inferFromImplicitShape([...shape], sizeOf(x.shape));
  return util.arraysEqual(target, x.shape)
    ? backend.alias(x)
    : backend.record({ op: 'reshape' }, [x], [target], valueType(x))[0]!;
};

const fill = (backend: RecorderBackend, shape: readonly number[], dtype: ValueType, value: number): TensorInfo =>
  backend.record({ op: 'fill', value }, [], [shape], dtype)[0]!;

/** tfjs kernels by name, each as the operation that it is. */
const KERNELS: Readonly<Record<string, KernelFunction>> = {
  Add: binary('add'),
  Sub: binary('sub'),
  Multiply: binary('mul'),
  RealDiv: binary('div'),
  Pow: binary('pow'),
  Maximum: binary('max'),
  Minimum: binary('min'),
  Greater: binary('greater', 'bool'),
  GreaterEqual: binary('greaterEqual', 'bool'),
  Less: binary('less', 'bool'),
  LessEqual: binary('lessEqual', 'bool'),
  Equal: binary('equal', 'bool'),
  LogicalAnd: binary('and', 'bool'),
  LogicalOr: binary('or', 'bool'),
  LogicalNot: unary('not'),
  Exp: unary('exp'),
  Log: unary('log'),
  Sqrt: unary('sqrt'),
  Neg: unary('neg'),
  Sigmoid: unary('sigmoid'),
  Erf: unary('erf'),
  Tanh: unary('tanh'),
  Abs: unary('abs'),
  Relu: unary('relu'),
  Reciprocal: unary('reciprocal'),
  Floor: unary('floor'),
  Sign: unary('sign'),
  Square: (backend, { x }) => backend.record({ op: 'mul' }, [x, x], [x.shape], valueType(x))[0]!,
  SquaredDifference: (backend, { a, b }) => {
    const d = backend.record({ op: 'sub' }, [a, b], [broadcast(a, b)], valueType(a))[0]!;
    return backend.record({ op: 'mul' }, [d, d], [d.shape], valueType(a))[0]!;
  },
  Rsqrt: (backend, { x }) =>
    backend.record(
      { op: 'reciprocal' },
      backend.record({ op: 'sqrt' }, [x], [x.shape], valueType(x)),
      [x.shape],
      valueType(x),
    )[0]!,
  // The gradients of Abs and Relu are made of it.
  Step: (backend, { x }, { alpha }) => {
    const positive = backend.record({ op: 'greater' }, [x, fill(backend, [], valueType(x), 0)], [x.shape], 'bool')[0]!;
    return backend.record(
      { op: 'select' },
      [positive, fill(backend, [], valueType(x), 1), fill(backend, [], valueType(x), alpha)],
      [x.shape],
      valueType(x),
    )[0]!;
  },
  AddN: (backend, inputs: TensorInfo[]) =>
    inputs.reduce((sum, x) => backend.record({ op: 'add' }, [sum, x], [broadcast(sum, x)], valueType(x))[0]!),
  Select: (backend, { condition, t, e }) =>
    backend.record({ op: 'select' }, [condition, t, e], [broadcast(t, e)], valueType(t))[0]!,
  Identity: (backend, { x }) => backend.alias(x),
  Cast: (backend, { x }, { dtype }) =>
    x.dtype === dtype ? backend.alias(x) : backend.record({ op: 'cast', to: dtype }, [x], [x.shape], dtype)[0]!,
  Reshape: (backend, { x }, { shape }) => reshape(backend, x, shape),
  ExpandDims: (backend, { input }, { dim }) => {
    const axis = dim < 0 ? dim + input.shape.length + 1 : dim;
    return reshape(backend, input, [...input.shape.slice(0, axis), 1, ...input.shape.slice(axis)]);
  },
  Transpose: (backend, { x }, { perm }) =>
    backend.record({ op: 'transpose', perm: [...perm] }, [x], [perm.map((p: number) => x.shape[p])], valueType(x))[0]!,
  BatchMatMul: (backend, { a, b }, { transposeA, transposeB }) =>
    matmul(backend, a, b, transposeA === true, transposeB === true, 1),
  Sum: reduction('reduceSum'),
  Mean: reduction('reduceMean'),
  Max: reduction('reduceMax'),
  Min: reduction('reduceMin'),
  Softmax: (backend, { logits }) => backend.record({ op: 'softmax' }, [logits], [logits.shape], 'float32')[0]!,
  Concat: (backend, inputs: TensorInfo[], { axis }) => {
    const at = axesOf(axis, inputs[0]!.shape.length)[0]!;
    const shape = [...inputs[0]!.shape];
    shape[at] = inputs.reduce((total, x) => total + x.shape[at]!, 0);
    return backend.record({ op: 'concat', axis: at }, inputs, [shape], valueType(inputs[0]!))[0]!;
  },
  SplitV: (backend, { x }, { numOrSizeSplits, axis }) => {
    const at = axesOf(axis, x.shape.length)[0]!;
    const sizes = backendUtil.prepareSplitSize(x, numOrSizeSplits, at);
    const shapes = sizes.map((size) => x.shape.map((extent: number, i: number) => (i === at ? size : extent)));
    return backend.record({ op: 'split', axis: at, sizes }, [x], shapes, valueType(x));
  },
  Slice: (backend, { x }, { begin, size }) => {
    const [from, extent] = sliceUtil.parseSliceParams(x, begin, size);
    return backend.record({ op: 'slice', begin: from!, size: extent! }, [x], [extent!], valueType(x))[0]!;
  },
  PadV2: (backend, { x }, { paddings, constantValue }) => {
    const before = paddings.map((p: number[]) => p[0]);
    const after = paddings.map((p: number[]) => p[1]);
    const shape = x.shape.map((extent: number, i: number) => before[i] + extent + after[i]);
    return backend.record({ op: 'pad', before, after, value: constantValue ?? 0 }, [x], [shape], valueType(x))[0]!;
  },
  Tile: (backend, { x }, { reps }) =>
    backend.record(
      { op: 'tile', reps: [...reps] },
      [x],
      [x.shape.map((extent: number, i: number) => extent * reps[i])],
      valueType(x),
    )[0]!,
  GatherV2: (backend, { x, indices }, { axis, batchDims }) => {
    if (batchDims) throw new Error('GatherV2 with batchDims is not supported');
    const at = axesOf(axis, x.shape.length)[0]!;
    const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
    return backend.record({ op: 'gather', axis: at }, [x, indices], [shape], valueType(x))[0]!;
  },
  UnsortedSegmentSum: (backend, { x, segmentIds }, { numSegments }) =>
    backend.record(
      { op: 'segmentSum', segments: numSegments },
      [x, segmentIds],
      [[numSegments, ...x.shape.slice(1)]],
      valueType(x),
    )[0]!,
  Fill: (backend, _inputs, { shape, value, dtype }) => fill(backend, shape, dtype ?? 'float32', value),
  ZerosLike: (backend, { x }) => fill(backend, x.shape, valueType(x), 0),
  OnesLike: (backend, { x }) => fill(backend, x.shape, valueType(x), 1),
  ...CONVOLUTIONS,
  AvgPool: averagePool,
  AvgPoolGrad: averagePoolGradient,

  // Operations of ours that runtimes have fused; `ops/` calls them by these names and composes them elsewhere.
  ClipyardMatMul: (backend, { a, b }, { transposeA, transposeB, alpha }) =>
    matmul(backend, a, b, transposeA, transposeB, alpha),
  ClipyardGemm: (backend, { a, b, c }, { transposeA, transposeB, alpha }) => {
    const shape = [a.shape[transposeA ? 1 : 0], b.shape[transposeB ? 0 : 1]];
    return backend.record({ op: 'gemm', transposeA, transposeB, alpha }, [a, b, c], [shape], 'float32')[0]!;
  },
  ClipyardLayerNorm: (backend, { x }, { epsilon }) => {
    const statistics = [...x.shape.slice(0, -1), 1];
    return backend.record({ op: 'layerNorm', epsilon }, [x], [x.shape, statistics, statistics], 'float32');
  },
};

function matmul(
  backend: RecorderBackend,
  a: TensorInfo,
  b: TensorInfo,
  transposeA: boolean,
  transposeB: boolean,
  alpha: number,
): TensorInfo {
  const rows = a.shape[a.shape.length - (transposeA ? 1 : 2)]!;
  const columns = b.shape[b.shape.length - (transposeB ? 2 : 1)]!;
  const batch = backendUtil.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return backend.record(
    { op: 'matmul', transposeA, transposeB, alpha },
    [a, b],
    [[...batch, rows, columns]],
    'float32',
  )[0]!;
}

export function registerRecordedKernels(backendName: string): void {
  for (const [kernelName, kernel] of Object.entries(KERNELS)) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs, backend }) =>
        kernel(backend as RecorderBackend, inputs, (attrs ?? {}) as NamedAttrMap),
    });
  }
}
