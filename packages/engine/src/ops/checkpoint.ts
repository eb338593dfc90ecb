import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { type Save, withGradient } from './with-gradient.js';

/** A part of a model; `fixed` has no gradient. `again`: whether it is formed for the gradient. */
export type Part = (x: Tensor, weights: readonly Tensor[], fixed: readonly Tensor[], again: boolean) => Tensor;

/**
 * part(x, weights, fixed), of which nothing but its operands is kept for the gradient: that forms everything in between
 * again (Chen et al., arXiv 1604.06174). Values and gradients are those of the part itself. `part` uses no other tensors.
 */
export function checkpoint(part: Part, x: Tensor, weights: readonly Tensor[], fixed: readonly Tensor[] = []): Tensor {
  return withGradient(
    (...args) => {
      const [x, ...weights] = args.slice(0, -1) as unknown as [Tensor, ...Tensor[]];
      const save = args.at(-1) as unknown as Save;
      save([x, ...weights, ...fixed]);
      return {
        value: part(x, weights, fixed, false),
        gradFunc: (dy, saved) => {
          const kept = saved.slice(1 + weights.length);
          const again = (x: Tensor, ...weights: Tensor[]): Tensor => part(x, weights, kept, true);
          const operands = after(dy, saved.slice(0, 1 + weights.length));
          const [dx, ...dWeights] = within(() => tf.grads(again as never)(operands, dy)) as [Tensor, ...Tensor[]];
          return [last(dx, dWeights), ...dWeights];
        },
      };
    },
    x,
    ...weights,
  );
}

/**
 * The operands, which can be had only after `dy`. Else what is formed of them again would be recognised as what the forward
 * pass formed, by us and by ONNX Runtime, and kept. x and vectors pass through a concatenation with an element of `dy`;
 * nothing is formed of matrices and filters alone.
 */
function after(dy: Tensor, operands: Tensor[]): Tensor[] {
  const isLate = ({ shape }: Tensor, i: number): boolean => i === 0 || shape.length === 1;
  const late = operands.filter(isLate);
  const sizes = [...late.map(sizeOf), 1];
  const parts = tf.split(tf.concat([...late.map(flat), firstOf(dy)], 0), sizes, 0);
  return operands.map((operand, i) =>
    isLate(operand, i) ? tf.reshape(parts[late.indexOf(operand)]!, operand.shape) : operand,
  );
}

/**
 * dx, which can be had only after the weights' gradients: a runtime that goes on to the part before would keep what this
 * one formed again until it comes back for them.
 */
function last(dx: Tensor, dWeights: readonly Tensor[]): Tensor {
  const parts = [flat(dx), ...dWeights.map(firstOf)];
  const [first] = tf.split(tf.concat(parts, 0), [sizeOf(dx), dWeights.length], 0);
  return tf.reshape(first!, dx.shape);
}

const sizeOf = ({ shape }: Tensor): number => shape.reduce((a, b) => a * b, 1);

const flat = (x: Tensor): Tensor => tf.reshape(x, [sizeOf(x)]);

/** [1]. */
const firstOf = (x: Tensor): Tensor => {
  const begin = x.shape.map(() => 0);
  return tf.reshape(
    tf.slice(
      x,
      begin,
      begin.map(() => 1),
    ),
    [1],
  );
};

/** Runs `fn`, which takes gradients, while gradients are taken: tfjs would forget the outer tape. */
function within<T>(fn: () => T): T {
  const { state } = tf.engine() as unknown as { state: { activeTape: unknown } };
  const outer = state.activeTape;
  try {
    return fn();
  } finally {
    state.activeTape = outer;
  }
}
