import type { ComputePrecision, Specs, TensorFunction } from '../engine.js';
import { installGradients } from '../gradients.js';
import { costOf, type GraphCost } from './cost.js';
import type { Graph } from './graph.js';
import { printGraph } from './print.js';
import { record } from './recorder.js';
import { roundOperands } from './round-operands.js';
import { simplify } from './simplify.js';

/** The graph that engines lower. */
export function graphToLower(
  name: string,
  fn: TensorFunction,
  inputs: Specs,
  { simplify: simpler = true, compute = 'fp32' }: { simplify?: boolean; compute?: ComputePrecision } = {},
): Graph {
  const recorded = roundOperands(record(name, fn, inputs), compute);
  return simpler ? simplify(recorded) : recorded;
}

/**
 * The graph that a function would be compiled to, to read: as text, one line a node, and what a run takes. Throws
 * `engine_unsupported` for an operation that no engine has.
 */
export function traceGraph(name: string, fn: TensorFunction, inputs: Specs): { text: string; cost: GraphCost } {
  installGradients();
  const graph = graphToLower(name, fn, inputs);
  return { text: printGraph(graph), cost: costOf(graph) };
}
