import { ClipyardError } from '@clipyard/contracts';
import { type Graph, graphOf, type InputValue, makeNode, type Node, type Value } from './graph.js';

export interface SplitGraph {
  /** Everything that depends on no late input: the early outputs, and the `kept` values that the late half reads. */
  readonly early: Graph;
  readonly late: Graph;
  /** Names of the kept values: outputs of `early`, inputs of `late`. */
  readonly kept: ReadonlyMap<string, Value>;
}

const REPEATED: ReadonlySet<string> = new Set(['reshape', 'fill', 'round']);

/** Cuts a graph where the late inputs enter. Reshapes, fills and roundings cost little and are repeated in the late half rather than kept. */
export function splitGraph(graph: Graph, lateInputs: readonly string[]): SplitGraph {
  for (const name of lateInputs) {
    if (!graph.inputs.has(name))
      throw new ClipyardError('engine_unsupported', `There is no input \`${name}\` to wait for`);
  }
  const lateNames = new Set(lateInputs);
  const lateNodes = new Set<Node>();
  const isLate = (value: Value): boolean =>
    value.kind === 'input' ? lateNames.has(value.name) : value.kind === 'result' && lateNodes.has(value.node);
  for (const node of graph.nodes) if (node.inputs.some(isLate)) lateNodes.add(node);

  const kept = new Map<string, Value>();
  const lateInputValues = new Map<string, InputValue>();
  const mapped = new Map<Value, Value>();
  const keep = (value: Value): Value => {
    if (value.kind === 'constant') return value;
    if (value.kind === 'input') {
      lateInputValues.set(value.name, value);
      return value;
    }
    const existing = mapped.get(value);
    if (existing !== undefined) return existing;
    const { operation, inputs, outputs, source } = value.node;
    if (REPEATED.has(operation.op) && !lateNodes.has(value.node)) {
      const repeated = makeNode(operation, inputs.map(keep), outputs, source);
      mapped.set(value, repeated.outputs[0]!);
      return repeated.outputs[0]!;
    }
    const name = `kept:${kept.size}`;
    const input: InputValue = { kind: 'input', shape: value.shape, dtype: value.dtype, name };
    kept.set(name, value);
    lateInputValues.set(name, input);
    mapped.set(value, input);
    return input;
  };
  for (const node of graph.nodes) {
    if (!lateNodes.has(node)) continue;
    const inputs = node.inputs.map((value) =>
      value.kind === 'result' && lateNodes.has(value.node) ? mapped.get(value)! : keep(value),
    );
    const copy = makeNode(node.operation, inputs, node.outputs, node.source);
    node.outputs.forEach((output, i) => mapped.set(output, copy.outputs[i]!));
  }
  const outputs = [...graph.outputs];
  const earlyOutputs = outputs.filter(([, value]) => !isLate(value));
  const lateOutputs = outputs
    .filter(([, value]) => isLate(value))
    .map(([name, value]): [string, Value] => [name, mapped.get(value) ?? keep(value)]);
  const earlyInputs = new Map([...graph.inputs].filter(([name]) => !lateNames.has(name)));
  return {
    early: graphOf(earlyInputs, new Map([...earlyOutputs, ...kept])),
    late: graphOf(lateInputValues, new Map(lateOutputs)),
    kept,
  };
}
