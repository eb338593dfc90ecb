import { ClipyardError } from '@clipyard/contracts';
import { type Graph, type Node, sameShape, type Value } from './graph.js';

/** Operations whose element i depends on no other element of an operand of the result's shape. */
const ELEMENTWISE = new Set(
  'exp log sqrt neg sigmoid erf tanh abs relu reciprocal floor sign add sub mul div pow max min select'.split(' '),
);

/**
 * Checks that each output of `inPlace` may be written over the input it names, in whatever order a runtime runs the
 * nodes: the writer is elementwise, and whoever else reads the input comes before it by dependency. Throws
 * `engine_unsupported`.
 */
export function checkInPlace(graph: Graph, inPlace: Readonly<Record<string, string>>): void {
  const aliases = aliasesOf(graph);
  for (const [output, input] of Object.entries(inPlace)) {
    const refuse = (reason: string): never => {
      throw new ClipyardError(
        'engine_unsupported',
        `Output \`${output}\` cannot be written over input \`${input}\`: ${reason}`,
      );
    };
    const target = graph.inputs.get(input) ?? refuse('there is no such input');
    const written = graph.outputs.get(output) ?? refuse('there is no such output');
    if (written.kind !== 'result') return refuse('it is not computed');
    if (!sameShape(written.shape, target.shape) || written.dtype !== target.dtype)
      refuse('they differ in shape or type');
    const writer = written.node;
    if (!ELEMENTWISE.has(writer.operation.op)) refuse(`${writer.operation.op} reads elements after writing others`);
    const before = ancestors(writer);
    const readers = graph.nodes.filter((node) => node.inputs.some((value) => aliases.get(value) === target));
    if (!readers.every((node) => node === writer || before.has(node))) refuse('it is read later');
    const isReshaped = writer.inputs.some((value) => value !== target && aliases.get(value) === target);
    if (isReshaped && writer.inputs.some((value) => !sameShape(value.shape, written.shape))) refuse('it is broadcast');
    if ([...graph.outputs.values()].some((value) => aliases.get(value) === target)) refuse('it is an output itself');
  }
}

/** The same for stages of a graph: besides, no stage after the writer's reads the input. */
export function checkInPlaceStages(
  graph: Graph,
  stages: readonly Graph[],
  inPlace: Readonly<Record<string, string>>,
): void {
  checkInPlace(graph, inPlace);
  for (const [output, input] of Object.entries(inPlace)) {
    const writer = stages.findIndex(({ outputs }) => outputs.has(output));
    if (stages.findLastIndex(({ inputs }) => inputs.has(input)) > writer)
      throw new ClipyardError(
        'engine_unsupported',
        `Output \`${output}\` cannot be written over input \`${input}\`: a later stage reads it`,
      );
  }
}

/** Each value that a reshape may have made of an input without copying, and the input. */
function aliasesOf(graph: Graph): Map<Value, Value> {
  const aliases = new Map<Value, Value>([...graph.inputs.values()].map((input) => [input, input]));
  for (const { operation, inputs, outputs } of graph.nodes) {
    if (operation.op !== 'reshape') continue;
    const source = aliases.get(inputs[0]!);
    if (source !== undefined) aliases.set(outputs[0]!, source);
  }
  return aliases;
}

function ancestors(node: Node): Set<Node> {
  const found = new Set<Node>();
  const stack = [node];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (const value of at.inputs) {
      if (value.kind !== 'result' || found.has(value.node)) continue;
      found.add(value.node);
      stack.push(value.node);
    }
  }
  return found;
}
