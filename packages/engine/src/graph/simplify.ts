import { fold } from './fold.js';
import { type ConstantValue, type Graph, graphOf, makeNode, type Node, sameShape, type Value } from './graph.js';
import { numberText } from './print.js';

/**
 * The same graph with equal sub-expressions computed once, constants folded, what changes nothing (reshapes of reshapes,
 * products with 1) collapsed, and what no output needs left out. Values are untouched: results are bitwise those of the recorded graph.
 */
export function simplify(graph: Graph): Graph {
  const replaced = new Map<Value, Value>();
  const resolve = (value: Value): Value => replaced.get(value) ?? value;
  const known = new Map<string, Node>();
  const ids = new Map<Value, number>();
  const constants = new Map<string, ConstantValue>();
  const idOf = (value: Value): number => {
    let id = ids.get(value);
    if (id === undefined) {
      id = ids.size;
      ids.set(value, id);
    }
    return id;
  };
  const canonical = (value: Value): Value => {
    const current = resolve(value);
    if (current.kind !== 'constant' || current.data.length > 16) return current;
    const { buffer, byteOffset, byteLength } = current.data;
    const bytes = Buffer.from(buffer, byteOffset, byteLength).toString('hex');
    const key = `${current.dtype}[${current.shape}]${bytes}`;
    const first = constants.get(key);
    if (first === undefined) constants.set(key, current);
    return first ?? current;
  };
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(canonical);
    if (node.operation.op === 'reshape') {
      let source = inputs[0]!;
      while (source.kind === 'result' && source.node.operation.op === 'reshape') source = source.node.inputs[0]!;
      inputs[0] = source;
      if (sameShape(source.shape, node.outputs[0]!.shape)) {
        replaced.set(node.outputs[0]!, source);
        continue;
      }
    }
    const folded = node.outputs.length === 1 ? fold(node.operation, inputs, node.outputs[0]!) : undefined;
    if (folded !== undefined) {
      replaced.set(node.outputs[0]!, folded);
      continue;
    }
    const key = `${JSON.stringify(node.operation, exactNumbers)}(${inputs.map(idOf)})${node.outputs.map((o) => `${o.dtype}[${o.shape}]`)}`;
    let target = known.get(key);
    if (target === undefined) {
      target = makeNode(node.operation, inputs, node.outputs, node.source);
      known.set(key, target);
    }
    const made = target;
    node.outputs.forEach((output, i) => replaced.set(output, made.outputs[i]!));
  }
  return graphOf(graph.inputs, new Map([...graph.outputs].map(([name, value]) => [name, resolve(value)])));
}

/** JSON has neither infinities nor NaN nor -0, which may stand in attributes. */
const exactNumbers = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)) ? numberText(value) : value;
