import type { Graph, Node, Value } from './graph.js';

/**
 * The graph as text, one line a node: `%2 float32[64,128] = gemm(%0, visual.proj, %1) transposeB alpha=1.702`. Results are
 * numbered in order, inputs go by their names, and constants show their values where they are few. With `sources`, a line
 * ends in the line of the model that made the node: `  # packages/model/src/towers.ts:88`.
 */
export function printGraph(graph: Graph, { sources = false }: { readonly sources?: boolean } = {}): string {
  const numbers = new Map<Value, number>();
  const refer = (value: Value): string => {
    if (value.kind === 'input') return value.name;
    if (value.kind === 'constant')
      return value.data.length <= 4 ? `[${[...value.data].map(numberText).join(', ')}]` : typeOf(value);
    return `%${numbers.get(value)}`;
  };
  const lines = [...graph.inputs.values()].map((input) => `input ${input.name} ${typeOf(input)}`);
  for (const node of graph.nodes) {
    for (const output of node.outputs) numbers.set(output, numbers.size);
    const results = node.outputs.map((output) => `${refer(output)} ${typeOf(output)}`).join(', ');
    const source = sources && node.source !== undefined ? `  # ${node.source}` : '';
    lines.push(`${results} = ${node.operation.op}(${node.inputs.map(refer).join(', ')})${attributesOf(node)}${source}`);
  }
  for (const [name, value] of graph.outputs) lines.push(`output ${name} = ${refer(value)}`);
  return lines.join('\n');
}

/** Also of -0, infinities and NaN. */
export const numberText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

const typeOf = ({ dtype, shape }: Value): string => `${dtype}[${shape.join(',')}]`;

/** Flags by their names when set, everything else as name=value. */
function attributesOf({ operation: { op: _op, ...attributes } }: Node): string {
  return Object.entries(attributes)
    .filter(([, value]) => value !== false)
    .map(([name, value]) =>
      value === true ? ` ${name}` : ` ${name}=${typeof value === 'number' ? numberText(value) : JSON.stringify(value)}`,
    )
    .join('');
}
