import type { ComputePrecision } from '../engine.js';
import { type Graph, graphOf, makeNode, type Node, type Value } from './graph.js';

/** Operands that are multiplied with one another, by position. */
const MULTIPLIED: Readonly<Record<string, readonly number[]>> = {
  matmul: [0, 1],
  gemm: [0, 1],
  convolution: [0, 1],
  convolutionInputGradient: [0, 1],
  convolutionFilterGradient: [0, 1],
};

/** The same graph with what is multiplied rounded first. Sums that are written as products with ones stay as they are. */
export function roundOperands(graph: Graph, to: ComputePrecision): Graph {
  if (to === 'fp32') return graph;
  const replaced = new Map<Value, Value>();
  const rounded = new Map<Value, Value>();
  const round = (value: Value): Value => {
    let result = rounded.get(value);
    if (result === undefined) {
      const { shape, dtype } = value;
      const node = makeNode({ op: 'round', to }, [value], [{ shape, dtype }]);
      result = node.outputs[0]!;
      rounded.set(value, result);
    }
    return result;
  };
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((value) => replaced.get(value) ?? value);
    const positions = inputs.some(isFill) ? [] : (MULTIPLIED[node.operation.op] ?? []);
    const given = inputs.map((value, i) => (positions.includes(i) ? round(value) : value));
    const copy: Node = makeNode(node.operation, given, node.outputs, node.source);
    node.outputs.forEach((output, i) => replaced.set(output, copy.outputs[i]!));
  }
  return graphOf(
    graph.inputs,
    new Map([...graph.outputs].map(([name, value]) => [name, replaced.get(value) ?? value])),
  );
}

const isFill = (value: Value): boolean => value.kind === 'result' && value.node.operation.op === 'fill';
