import type { ConvolutionOperation, Node, ValueType, Window } from '../graph/graph.js';
import { sizeOf } from '../graph/graph.js';
import type { AttributeValue } from './messages.js';

/** What a part of the lowering writes with. */
export interface OnnxWriter {
  emit(
    opType: string,
    input: readonly string[],
    output: readonly string[],
    attributes?: Record<string, AttributeValue>,
    domain?: string,
  ): void;
  /** A new name. */
  fresh(): string;
  /** The name of a list, which is made once. */
  int64(values: readonly number[]): string;
  /** Likewise, of a shape to reshape or expand to. */
  extents(shape: readonly number[]): string;
  /** Likewise, by a key that says what is in it. */
  int32(key: string, make: () => Int32Array): string;
  scalar(value: number, dtype: ValueType): string;
}

type Convolution = { readonly op: ConvolutionOperation } & Window;

/**
 * Convolutions as products of matrices with a row for each place and a column for each tap of the filter and channel.
 * Channels come last, so a tap is a contiguous row and one Gather brings them together; the taps outside of the picture
 * are a row of zeros after its last. ONNX Runtime has no gradient of a convolution, and its Conv wants channels first.
 */
export function lowerConvolution(
  writer: OnnxWriter,
  operation: Convolution,
  node: Node,
  [a, b]: string[],
  output: string,
): void {
  const [first, second, result] = [node.inputs[0]!.shape, node.inputs[1]!.shape, node.outputs[0]!.shape];
  switch (operation.op) {
    case 'convolution': {
      const [rows, columns, channels, width] = second;
      const taps = gathered(writer, a!, first, result, second, inputTap(operation, first), operation);
      const filter = reshaped(writer, b!, [rows! * columns! * channels!, width!]);
      return product(writer, [taps, filter], output, result);
    }
    case 'convolutionInputGradient': {
      const [rows, columns, channels, width] = second;
      const taps = gathered(writer, a!, first, result, second, outputTap(operation, first), operation);
      const turned = writer.fresh();
      writer.emit('Transpose', [b!], [turned], { perm: { ints: [0, 1, 3, 2] } });
      const filter = reshaped(writer, turned, [rows! * columns! * width!, channels!]);
      return product(writer, [taps, filter], output, result);
    }
    case 'convolutionFilterGradient': {
      const taps = gathered(writer, a!, first, second, result, inputTap(operation, first), operation);
      const cotangent = reshaped(writer, b!, [sizeOf(second.slice(0, 3)), second[3]!]);
      return product(writer, [taps, cotangent], output, result, true);
    }
  }
}

/** ONNX's own Conv, for other runtimes, between the transposes that it needs. */
export function lowerToConv(
  writer: OnnxWriter,
  { stride, padding }: Window,
  [x, filter]: string[],
  output: string,
): void {
  const [pictures, weights, result] = [writer.fresh(), writer.fresh(), writer.fresh()];
  writer.emit('Transpose', [x!], [pictures], { perm: { ints: [0, 3, 1, 2] } });
  writer.emit('Transpose', [filter!], [weights], { perm: { ints: [3, 2, 0, 1] } });
  writer.emit('Conv', [pictures, weights], [result], {
    strides: { ints: [stride, stride] },
    pads: { ints: [padding, padding, padding, padding] },
  });
  writer.emit('Transpose', [result], [output], { perm: { ints: [0, 2, 3, 1] } });
}

/** The place that a tap reads, or undefined for one outside. */
type Tap = (row: number, column: number, tapRow: number, tapColumn: number) => readonly [number, number] | undefined;

const within = (place: readonly [number, number], [, height, width]: readonly number[]) =>
  place[0] >= 0 && place[0] < height! && place[1] >= 0 && place[1] < width! ? place : undefined;

/** Of a picture, for a place of the result. */
const inputTap =
  ({ stride, padding }: Window, pictures: readonly number[]): Tap =>
  (row, column, i, j) =>
    within([row * stride - padding + i, column * stride - padding + j], pictures);

/** Of the result, for a place of the picture: where the filter's tap lay on it. */
const outputTap =
  ({ stride, padding }: Window, result: readonly number[]): Tap =>
  (row, column, i, j) => {
    const place = [(row + padding - i) / stride, (column + padding - j) / stride] as const;
    return place.every(Number.isInteger) ? within(place, result) : undefined;
  };

/** [n·h·w, taps·c] for the places of `places` [n,h,w,·] from `x` [n,·,·,c]: in each row what its taps read. */
function gathered(
  writer: OnnxWriter,
  x: string,
  shape: readonly number[],
  places: readonly number[],
  filter: readonly number[],
  tap: Tap,
  { op, stride, padding }: Convolution,
): string {
  const [samples, height, width, channels] = shape as [number, number, number, number];
  const [, rows, columns] = places as [number, number, number];
  const [tapRows, tapColumns] = filter as [number, number];
  const size = [samples * rows * columns, tapRows * tapColumns * channels];
  const isPointwise = tapRows * tapColumns === 1 && stride === 1 && padding === 0;
  if (isPointwise) return reshaped(writer, x, size);
  const outside = height * width;
  const kind = op === 'convolutionInputGradient' ? 'cotangent' : 'pictures';
  const indices = writer.int32(
    `${kind} ${[height, width, rows, columns, tapRows, tapColumns, stride, padding]}`,
    () => {
      const values = new Int32Array(rows * columns * tapRows * tapColumns);
      let at = 0;
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          for (let i = 0; i < tapRows; i++)
            for (let j = 0; j < tapColumns; j++) {
              const place = tap(row, column, i, j);
              values[at++] = place === undefined ? outside : place[0] * width + place[1];
            }
      return values;
    },
  );
  const extended = writer.fresh();
  writer.emit(
    'Pad',
    [reshaped(writer, x, [samples, outside, channels]), writer.int64([0, 0, 0, 0, 1, 0]), writer.scalar(0, 'float32')],
    [extended],
  );
  const taps = writer.fresh();
  writer.emit('Gather', [extended, indices], [taps], { axis: { int: 1 } });
  return reshaped(writer, taps, size);
}

function reshaped(writer: OnnxWriter, x: string, shape: readonly number[], output = writer.fresh()): string {
  writer.emit('Reshape', [x, writer.extents(shape)], [output]);
  return output;
}

function product(
  writer: OnnxWriter,
  operands: string[],
  output: string,
  shape: readonly number[],
  transposeA = false,
): void {
  const flat = writer.fresh();
  writer.emit('Gemm', operands, [flat], { transA: { int: Number(transposeA) } });
  reshaped(writer, flat, shape, output);
}

/** In two means over one axis each, which ONNX Runtime has fast kernels for. */
export function lowerAveragePool(writer: OnnxWriter, size: number, node: Node, x: string, output: string): void {
  const [samples, height, width, channels] = node.inputs[0]!.shape as [number, number, number, number];
  const means = (from: string, shape: readonly number[]): string => {
    const mean = writer.fresh();
    writer.emit('ReduceMean', [reshaped(writer, from, shape)], [mean], {
      axes: { ints: [1] },
      keepdims: { int: 0 },
    });
    return mean;
  };
  const rows = (samples * height) / size;
  const byRow = means(x, [rows, size, width * channels]);
  reshaped(writer, means(byRow, [(rows * width) / size, size, channels]), node.outputs[0]!.shape, output);
}

export function lowerAveragePoolGradient(
  writer: OnnxWriter,
  size: number,
  node: Node,
  dy: string,
  output: string,
): void {
  const [samples, rows, columns, channels] = node.inputs[0]!.shape as [number, number, number, number];
  const shared = writer.fresh();
  writer.emit('Mul', [dy, writer.scalar(1 / (size * size), 'float32')], [shared]);
  const spread = writer.fresh();
  const column = reshaped(writer, shared, [samples * rows, 1, columns, 1, channels]);
  writer.emit('Expand', [column, writer.int64([samples * rows, size, columns, size, channels])], [spread]);
  reshaped(writer, spread, node.outputs[0]!.shape, output);
}
