import { ClipyardError } from '@clipyard/contracts';
import { type Graph, graphOf, type InputValue, makeNode, type Node, type Value } from './graph.js';

/** A value that one stage makes and later ones read. */
export interface KeptValue {
  readonly value: Value;
  readonly madeIn: number;
  readonly lastReadIn: number;
}

export interface SplitGraph {
  /** In their order. A stage reads inputs that have arrived by then and `kept` values of those before, by name. */
  readonly stages: readonly Graph[];
  /** By name: an output of the stage that makes it, an input of those that read it. */
  readonly kept: ReadonlyMap<string, KeptValue>;
}

/** They cost little and are repeated where they are read, rather than kept. */
const REPEATED: ReadonlySet<string> = new Set(['reshape', 'fill', 'round']);
const isRepeated = (node: Node): boolean => REPEATED.has(node.operation.op);

/** Cuts a graph where groups of late inputs enter, which arrive one after another: a node runs when all that it depends on is there. */
export function splitGraph(graph: Graph, late: readonly (readonly string[])[]): SplitGraph {
  const stageOfNode = stagesOf(graph, late);
  const stageOf = (value: Value): number => stageOfValue(value, stageOfNode, late);

  const kept = new Map<string, KeptValue>();
  const names = new Map<Value, string>();
  const keep = (value: Value, reader: number): string => {
    const name = names.get(value) ?? `kept:${kept.size}`;
    names.set(value, name);
    kept.set(name, { value, madeIn: stageOf(value), lastReadIn: reader });
    return name;
  };
  const nodes: Node[][] = Array.from({ length: late.length + 1 }, () => []);
  for (const node of graph.nodes) if (!isRepeated(node)) nodes[stageOfNode.get(node)!]!.push(node);
  const drafts = nodes.map((ofStage, stage) => {
    const inputs = new Map<string, InputValue>();
    const mapped = new Map<Value, Value>();
    const copy = (node: Node): void => {
      const made = makeNode(node.operation, node.inputs.map(read), node.outputs, node.source);
      node.outputs.forEach((output, i) => mapped.set(output, made.outputs[i]!));
    };
    const read = (value: Value): Value => {
      if (value.kind === 'constant') return value;
      if (value.kind === 'input') {
        inputs.set(value.name, value);
        return value;
      }
      if (!mapped.has(value)) {
        if (isRepeated(value.node)) copy(value.node);
        else {
          const name = keep(value, stage);
          const input: InputValue = { kind: 'input', shape: value.shape, dtype: value.dtype, name };
          inputs.set(name, input);
          mapped.set(value, input);
        }
      }
      return mapped.get(value)!;
    };
    for (const node of ofStage) copy(node);
    const outputs = [...graph.outputs]
      .filter(([, value]) => stageOf(value) === stage)
      .map(([name, value]): [string, Value] => [name, read(value)]);
    return { inputs, outputs, mapped };
  });
  const stages = drafts.map(({ inputs, outputs, mapped }, stage) => {
    const ofStage = [...kept].filter(([, { madeIn }]) => madeIn === stage);
    const keptOutputs = ofStage.map(([name, { value }]): [string, Value] => [name, mapped.get(value)!]);
    return graphOf(inputs, new Map([...outputs, ...keptOutputs]));
  });
  return { stages, kept };
}

/** By output: the stage in which all inputs that it depends on have arrived. */
export function outputStages(graph: Graph, late: readonly (readonly string[])[]): Map<string, number> {
  const stageOfNode = stagesOf(graph, late);
  return new Map([...graph.outputs].map(([name, value]) => [name, stageOfValue(value, stageOfNode, late)]));
}

function stagesOf(graph: Graph, late: readonly (readonly string[])[]): Map<Node, number> {
  for (const name of late.flat()) {
    if (!graph.inputs.has(name))
      throw new ClipyardError('engine_unsupported', `There is no input \`${name}\` to wait for`);
  }
  const stageOfNode = new Map<Node, number>();
  for (const node of graph.nodes) {
    const arrivals = node.inputs.map((value) => stageOfValue(value, stageOfNode, late));
    stageOfNode.set(node, Math.max(0, ...arrivals));
  }
  return stageOfNode;
}

function stageOfValue(
  value: Value,
  stageOfNode: ReadonlyMap<Node, number>,
  late: readonly (readonly string[])[],
): number {
  if (value.kind === 'constant') return 0;
  if (value.kind === 'input') return 1 + late.findIndex((group) => group.includes(value.name));
  return stageOfNode.get(value.node)!;
}
