import type { TensorInfo } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import type { ConvolutionOperation, Window } from './graph.js';
import type { KernelFunction } from './kernel-function.js';

const { backend_util: backendUtil } = tf;

type Shape4 = [number, number, number, number];
type ConvolutionShapes = { readonly pictures: Shape4; readonly filter: Shape4; readonly result: Shape4 };

interface Attributes {
  readonly strides: number | [number, number];
  readonly pad: 'valid' | 'same' | number;
  readonly dataFormat?: 'NHWC' | 'NCHW';
  readonly dilations?: number | [number, number];
}

/** What tfjs's attributes say, for windows as the graph has them. Throws for others. */
function windowOf(
  pictures: Shape4,
  filter: Shape4,
  { strides, pad, dataFormat, dilations = 1 }: Attributes,
): { readonly shapes: ConvolutionShapes; readonly window: Window } {
  if (dataFormat === 'NCHW') throw new Error('pictures are [n,h,w,c]; NCHW is not supported');
  const info = backendUtil.computeConv2DInfo(pictures, filter, strides, dilations, pad);
  const { top, bottom, left, right } = info.padInfo;
  const isEven = [bottom, left, right].every((zeros) => zeros === top) && info.strideHeight === info.strideWidth;
  // tfjs 4.22 takes the filter's rows for its columns where the padding is a number.
  if (typeof pad === 'number' && filter[0] !== filter[1])
    throw new Error(`a filter of ${filter[0]} x ${filter[1]} with numbers for padding: use 'valid' or a square one`);
  if (!isEven || info.dilationHeight !== 1 || info.dilationWidth !== 1)
    throw new Error(
      `stride ${strides}, padding ${pad} and dilation ${dilations} on pictures of [${pictures}]: only windows without dilation that move and are padded the same on all sides are supported`,
    );
  return {
    shapes: { pictures, filter, result: info.outShape as Shape4 },
    window: { stride: info.strideHeight, padding: top },
  };
}

const convolution =
  (
    op: ConvolutionOperation,
    operandsOf: (inputs: Record<string, TensorInfo>) => [TensorInfo, TensorInfo],
    shapesOf: (
      operands: readonly TensorInfo[],
      attributes: { inputShape: Shape4; filterShape: Shape4 },
    ) => [pictures: Shape4, filter: Shape4],
    resultOf: (shapes: ConvolutionShapes) => Shape4,
  ): KernelFunction =>
  (backend, inputs, attributes) => {
    const operands = operandsOf(inputs);
    const { window, shapes } = windowOf(...shapesOf(operands, attributes), attributes);
    return backend.record({ op, ...window }, operands, [resultOf(shapes)], 'float32')[0]!;
  };

const shapeOf = ({ shape }: TensorInfo): Shape4 => shape as Shape4;

/** tfjs's convolution and its gradients by the names of their kernels. */
export const CONVOLUTIONS: Readonly<Record<string, KernelFunction>> = {
  Conv2D: convolution(
    'convolution',
    ({ x, filter }) => [x!, filter!],
    ([x, filter]) => [shapeOf(x!), shapeOf(filter!)],
    ({ result }) => result,
  ),
  Conv2DBackpropInput: convolution(
    'convolutionInputGradient',
    ({ dy, filter }) => [dy!, filter!],
    ([, filter], { inputShape }) => [inputShape, shapeOf(filter!)],
    ({ pictures }) => pictures,
  ),
  Conv2DBackpropFilter: convolution(
    'convolutionFilterGradient',
    ({ x, dy }) => [x!, dy!],
    ([x], { filterShape }) => [shapeOf(x!), filterShape],
    ({ filter }) => filter,
  ),
};

/** The side of the squares. Throws where pictures do not divide into them. */
function squareOf([, height, width]: Shape4, filterSize: number | number[], strides: number | number[]): number {
  const [size, ...others] = new Set([filterSize, strides].flat());
  if (others.length > 0 || height % size! !== 0 || width % size! !== 0)
    throw new Error(
      `windows of ${filterSize} at stride ${strides} on ${height} x ${width}: only squares that pictures divide into are averaged`,
    );
  return size!;
}

export const averagePool: KernelFunction = (backend, { x }, { filterSize, strides }) => {
  const size = squareOf(x.shape, filterSize, strides);
  const [samples, height, width, channels] = x.shape;
  return backend.record(
    { op: 'averagePool', size },
    [x],
    [[samples, height / size, width / size, channels]],
    'float32',
  )[0]!;
};

export const averagePoolGradient: KernelFunction = (backend, { dy, input }, { filterSize, strides }) => {
  const size = squareOf(input.shape, filterSize, strides);
  return backend.record({ op: 'averagePoolGradient', size }, [dy], [input.shape], 'float32')[0]!;
};
