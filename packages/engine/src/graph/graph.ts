import type { DType, TypedArray } from '../engine.js';

/**
 * The recorded graph between tfjs and the runtimes: typed operations with fixed shapes, in topological order.
 * A lowering to a runtime is one module that reads this; the recorder knows of none.
 */
export type ValueType = DType | 'bool';

export type UnaryOperation =
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'neg'
  | 'sigmoid'
  | 'erf'
  | 'tanh'
  | 'abs'
  | 'relu'
  | 'reciprocal'
  | 'floor'
  | 'sign'
  | 'not';
export type BinaryOperation =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'pow'
  | 'max'
  | 'min'
  | 'greater'
  | 'greaterEqual'
  | 'less'
  | 'lessEqual'
  | 'equal'
  | 'and'
  | 'or';

/**
 * Pictures [n,h,w,c] with a filter [rows,columns,c,e] to [n,h',w',e], in the sense of cross-correlation, and its gradients:
 * of cotangent and filter by the pictures, of pictures and cotangent by the filter.
 */
export type ConvolutionOperation = 'convolution' | 'convolutionInputGradient' | 'convolutionFilterGradient';

/** How a filter moves: the same down and across; zeros around the pictures on all four sides. */
export interface Window {
  readonly stride: number;
  readonly padding: number;
}

/** An operation with its attributes. Shapes of results stand in the node's outputs. */
export type Operation =
  | { readonly op: UnaryOperation }
  | { readonly op: BinaryOperation }
  | { readonly op: 'select' }
  | { readonly op: 'cast'; readonly to: ValueType }
  /** To the nearest number of that format, still float32. */
  | { readonly op: 'round'; readonly to: 'bf16' | 'fp16' }
  | { readonly op: 'reshape' }
  | { readonly op: 'transpose'; readonly perm: readonly number[] }
  | { readonly op: 'concat'; readonly axis: number }
  | { readonly op: 'split'; readonly axis: number; readonly sizes: readonly number[] }
  | { readonly op: 'slice'; readonly begin: readonly number[]; readonly size: readonly number[] }
  | {
      readonly op: 'pad';
      readonly before: readonly number[];
      readonly after: readonly number[];
      readonly value: number;
    }
  | { readonly op: 'tile'; readonly reps: readonly number[] }
  | { readonly op: 'fill'; readonly value: number }
  | {
      readonly op: 'reduceSum' | 'reduceMean' | 'reduceMax' | 'reduceMin';
      readonly axes: readonly number[];
      readonly keepDims: boolean;
    }
  | { readonly op: 'softmax' }
  | ({ readonly op: ConvolutionOperation } & Window)
  /** Means of the size x size squares that pictures [n,h,w,c] divide into, and the gradient: each mean's over its square. */
  | { readonly op: 'averagePool' | 'averagePoolGradient'; readonly size: number }
  /** Batched a·b over the last two axes, leading axes broadcast; `alpha` scales the product. */
  | { readonly op: 'matmul'; readonly transposeA: boolean; readonly transposeB: boolean; readonly alpha: number }
  /** alpha · a·b + c for matrices; c broadcasts to the product. */
  | { readonly op: 'gemm'; readonly transposeA: boolean; readonly transposeB: boolean; readonly alpha: number }
  /** Over the last axis, without gain and bias; results: normalised, mean, 1/standard deviation. */
  | { readonly op: 'layerNorm'; readonly epsilon: number }
  | { readonly op: 'gather'; readonly axis: number }
  /** Row i of the first operand is added to row `segment[i]` of the result. */
  | { readonly op: 'segmentSum'; readonly segments: number };

export interface InputValue {
  readonly kind: 'input';
  readonly shape: readonly number[];
  readonly dtype: ValueType;
  readonly name: string;
}

export interface ConstantValue {
  readonly kind: 'constant';
  readonly shape: readonly number[];
  readonly dtype: ValueType;
  readonly data: TypedArray | Uint8Array;
}

export interface ResultValue {
  readonly kind: 'result';
  readonly shape: readonly number[];
  readonly dtype: ValueType;
  readonly node: Node;
  /** Which result of the node. */
  readonly index: number;
}

export type Value = InputValue | ConstantValue | ResultValue;

export interface Node {
  readonly operation: Operation;
  readonly inputs: readonly Value[];
  readonly outputs: ResultValue[];
  /** The line of the model that made it, as `packages/model/src/towers.ts:88`. No part of what the node computes. */
  readonly source?: string;
}

export interface Graph {
  readonly inputs: ReadonlyMap<string, InputValue>;
  readonly outputs: ReadonlyMap<string, Value>;
  /** In an order in which every operand comes before its use. */
  readonly nodes: readonly Node[];
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);
export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((extent, i) => extent === b[i]);

export function makeNode(
  operation: Operation,
  inputs: readonly Value[],
  results: readonly { shape: readonly number[]; dtype: ValueType }[],
  source?: string,
): Node {
  const node: Node = { operation, inputs, outputs: [], source };
  results.forEach((result, index) =>
    node.outputs.push({ kind: 'result', shape: result.shape, dtype: result.dtype, node, index }),
  );
  return node;
}

/** The graph of everything that the outputs depend on; what they do not reach is left out. */
export function graphOf(inputs: ReadonlyMap<string, InputValue>, outputs: ReadonlyMap<string, Value>): Graph {
  const nodes: Node[] = [];
  const done = new Set<Node>();
  for (const output of outputs.values()) {
    const stack: { node: Node; next: number }[] = [];
    const push = (value: Value) => {
      if (value.kind === 'result' && !done.has(value.node)) stack.push({ node: value.node, next: 0 });
    };
    push(output);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      if (done.has(top.node)) {
        stack.pop();
      } else if (top.next < top.node.inputs.length) {
        push(top.node.inputs[top.next++]!);
      } else {
        done.add(top.node);
        nodes.push(top.node);
        stack.pop();
      }
    }
  }
  return { inputs, outputs, nodes };
}
