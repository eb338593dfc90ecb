import { type ConstantValue, type Node, type Operation, sameShape, sizeOf, type Value } from './graph.js';

/** Constants of at most this many elements are computed while compiling; larger ones would only make models larger. */
const MAX_FOLDED_ELEMENTS = 4096;

/** Operations of which IEEE 754 says the result, so that folding cannot change it. */
const EXACT: Readonly<Record<string, (a: number, b: number) => number>> = {
  neg: (a) => -a,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  sqrt: (a) => Math.sqrt(a),
};

/** What a node with one result comes to without running it: an operand that it leaves as it is, or a constant. */
export function fold(
  operation: Operation,
  inputs: readonly Value[],
  output: Node['outputs'][number],
): Value | undefined {
  return unchanged(operation, inputs, output) ?? constant(operation, inputs, output);
}

function unchanged(operation: Operation, inputs: readonly Value[], output: Value): Value | undefined {
  const [first, second] = inputs;
  switch (operation.op) {
    case 'mul':
      return pick(output, isOne(second) ? first : isOne(first) ? second : undefined);
    case 'div':
      return pick(output, isOne(second) ? first : undefined);
    case 'transpose':
      return operation.perm.every((axis, i) => axis === i) ? first : undefined;
    case 'slice':
    case 'tile':
      return pick(output, first);
    case 'pad':
      return pick(output, first);
    case 'concat':
      return inputs.length === 1 ? first : undefined;
    default:
      return undefined;
  }
}

/** `value` where it has the shape of the result, which then holds the same elements. */
const pick = (output: Value, value: Value | undefined): Value | undefined =>
  value !== undefined && sameShape(value.shape, output.shape) ? value : undefined;

const isOne = (value: Value | undefined): boolean =>
  value?.kind === 'constant' && value.data.length === 1 && value.data[0] === 1;

function constant(operation: Operation, inputs: readonly Value[], output: Value): ConstantValue | undefined {
  const size = sizeOf(output.shape);
  if (size > MAX_FOLDED_ELEMENTS || inputs.length === 0 || output.dtype !== 'float32') return undefined;
  const operands = inputs.filter(
    (value): value is ConstantValue => value.kind === 'constant' && value.dtype === 'float32',
  );
  if (operands.length < inputs.length) return undefined;
  const make = (data: ConstantValue['data']): ConstantValue => ({
    kind: 'constant',
    shape: output.shape,
    dtype: 'float32',
    data,
  });
  if (operation.op === 'reshape') return make(operands[0]!.data);
  const compute = EXACT[operation.op];
  if (compute === undefined || operands.some(({ data }) => data.length !== 1 && data.length !== size)) return undefined;
  const at = (operand: ConstantValue | undefined, i: number): number =>
    operand === undefined ? 0 : operand.data[operand.data.length === 1 ? 0 : i]!;
  return make(Float32Array.from({ length: size }, (_, i) => compute(at(operands[0], i), at(operands[1], i))));
}
