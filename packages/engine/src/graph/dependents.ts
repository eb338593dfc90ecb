import type { Specs, TensorFunction } from '../engine.js';
import type { Node, Value } from './graph.js';
import { record } from './recorder.js';

/** Names of the outputs of `fn` that depend on any of the inputs `names`. */
export function dependents(fn: TensorFunction, specs: Specs, names: readonly string[]): Set<string> {
  const graph = record('dependents', fn, specs);
  const reached = new Set<Node>();
  const depends = (value: Value): boolean =>
    value.kind === 'input' ? names.includes(value.name) : value.kind === 'result' && reached.has(value.node);
  for (const node of graph.nodes) if (node.inputs.some(depends)) reached.add(node);
  return new Set([...graph.outputs].filter(([, value]) => depends(value)).map(([name]) => name));
}
