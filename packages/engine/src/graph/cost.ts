import { type Graph, type Node, sizeOf, type Value, type ValueType } from './graph.js';

/** What a run of a graph takes, as its nodes stand; a runtime that fuses them takes less. */
export interface GraphCost {
  readonly nodes: number;
  /** Floating-point operations: 2·m·n·k of a matrix product, else one for each that the formula has. */
  readonly flops: number;
  /** Read and written by the nodes, bytes; a reshape moves nothing. */
  readonly bytes: number;
  /** The most memory that results hold at once, in the order of the nodes, each kept until its last use; without inputs and outputs. */
  readonly peakBytes: number;
  /** The most that one node reads and writes, bytes. */
  readonly largestNodeBytes: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
}

const ELEMENT_BYTES: Readonly<Record<ValueType, number>> = { float32: 4, int32: 4, bool: 1 };
export const bytesOf = ({ shape, dtype }: Pick<Value, 'shape' | 'dtype'>): number =>
  sizeOf(shape) * ELEMENT_BYTES[dtype];

/** Operations that only move elements. */
const MOVES = new Set('cast reshape transpose concat split slice pad tile fill gather'.split(' '));

export function costOf(graph: Graph): GraphCost {
  const total = (values: Iterable<Value>): number => [...values].reduce((sum, value) => sum + bytesOf(value), 0);
  const sizes = graph.nodes
    .filter(({ operation }) => operation.op !== 'reshape')
    .map((node) => total(node.inputs) + total(node.outputs));
  return {
    nodes: graph.nodes.length,
    flops: graph.nodes.reduce((sum, node) => sum + flopsOf(node), 0),
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    peakBytes: peakBytes(graph),
    largestNodeBytes: sizes.reduce((largest, size) => Math.max(largest, size), 0),
    inputBytes: total(graph.inputs.values()),
    outputBytes: total(graph.outputs.values()),
  };
}

function flopsOf({ operation, inputs, outputs }: Node): number {
  const size = sizeOf(outputs[0]!.shape);
  switch (operation.op) {
    case 'matmul':
    case 'gemm': {
      const inner = inputs[0]!.shape.at(operation.transposeA ? -2 : -1)!;
      return 2 * size * inner + (operation.op === 'gemm' ? size : 0);
    }
    case 'convolution':
      return 2 * size * sizeOf(inputs[1]!.shape.slice(0, 3));
    case 'convolutionInputGradient':
      return 2 * sizeOf(inputs[0]!.shape) * sizeOf(inputs[1]!.shape.slice(0, 3));
    case 'convolutionFilterGradient':
      return 2 * sizeOf(inputs[1]!.shape) * sizeOf(outputs[0]!.shape.slice(0, 3));
    case 'averagePool':
      return sizeOf(inputs[0]!.shape);
    // Maximum, difference, exponential, sum, quotient.
    case 'softmax':
      return 5 * size;
    // Mean, difference, square, mean, product.
    case 'layerNorm':
      return 5 * size;
    case 'reduceSum':
    case 'reduceMean':
    case 'reduceMax':
    case 'reduceMin':
    case 'segmentSum':
      return sizeOf(inputs[0]!.shape);
    default:
      return MOVES.has(operation.op) ? 0 : size;
  }
}

function peakBytes(graph: Graph): number {
  const owners = new Map<Value, Value>();
  const ownerOf = (value: Value): Value => owners.get(value) ?? value;
  const lastUse = new Map<Value, number>();
  graph.nodes.forEach((node, at) => {
    if (node.operation.op === 'reshape') owners.set(node.outputs[0]!, ownerOf(node.inputs[0]!));
    for (const value of node.inputs) lastUse.set(ownerOf(value), at);
  });
  const outputs = new Set([...graph.outputs.values()].map(ownerOf));
  const ending = new Map<number, Value[]>();
  for (const [value, at] of lastUse) {
    if (value.kind === 'result' && !outputs.has(value)) ending.set(at, [...(ending.get(at) ?? []), value]);
  }
  let live = 0;
  let peak = 0;
  graph.nodes.forEach((node, at) => {
    for (const value of node.outputs)
      if (lastUse.has(value) && !outputs.has(value) && !owners.has(value)) live += bytesOf(value);
    peak = Math.max(peak, live);
    for (const value of ending.get(at) ?? []) live -= bytesOf(value);
  });
  return peak;
}
