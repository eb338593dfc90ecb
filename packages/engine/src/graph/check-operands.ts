import { type Operation, sameShape, sizeOf, type Value } from './graph.js';

/**
 * What tfjs leaves to its kernels to check. Throws with the operation and what it was given; the runtimes would too, but
 * without the line of the model, or not before they run.
 */
export function checkOperands(operation: Operation, operands: readonly Value[], result: readonly number[]): void {
  const { op } = operation;
  const refuse = (reason: string): never => {
    const given = operands.map(({ dtype, shape }) => `${dtype}[${shape.join(',')}]`).join(' and ');
    throw new Error(`${op} of ${given}: ${reason}`);
  };
  const [a, b, c] = operands as [Value, Value, Value];
  switch (op) {
    case 'matmul':
    case 'gemm': {
      const inner = [a.shape.at(operation.transposeA ? -2 : -1), b.shape.at(operation.transposeB ? -1 : -2)];
      if (inner[0] !== inner[1]) refuse(`the inner extents ${inner[0]} and ${inner[1]} differ`);
      if (op === 'gemm' && !broadcastsTo(c.shape, result)) refuse(`the last does not broadcast to [${result}]`);
      if (operands.some(({ dtype }) => dtype !== 'float32')) refuse('only float32 is multiplied');
      return;
    }
    case 'softmax':
    case 'layerNorm':
      if (a.dtype !== 'float32') refuse('it takes float32');
      return;
    case 'reshape':
      if (sizeOf(a.shape) !== sizeOf(result)) refuse(`[${result}] has ${sizeOf(result)} elements`);
      return;
    case 'concat': {
      const others = ({ shape }: Value) => shape.map((extent, axis) => (axis === operation.axis ? 0 : extent));
      if (operands.some((operand) => !sameShape(others(operand), others(a)))) refuse('their other extents differ');
      if (operands.some(({ dtype }) => dtype !== a.dtype)) refuse('their types differ');
      return;
    }
    case 'segmentSum':
      if (!sameShape(b.shape, a.shape.slice(0, 1))) refuse('there is not one segment to each row');
      return;
    case 'select':
      if (b.dtype !== c.dtype) refuse('the types to choose from differ');
      return;
    case 'gather':
      return;
    default:
      if (operands.length === 2 && a.dtype !== b.dtype) refuse('their types differ');
  }
}

const broadcastsTo = (shape: readonly number[], result: readonly number[]): boolean =>
  shape.length <= result.length &&
  shape.every((extent, i) => extent === 1 || extent === result[result.length - shape.length + i]);
