import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { type Save, withGradient } from './with-gradient.js';

/** A part of a model: rows x_nd and weights to rows [n,d]; `fixed` has no gradient. */
export type Part = (x: Tensor, weights: readonly Tensor[], fixed: readonly Tensor[]) => Tensor;

/**
 * part(x_nd, weights, fixed), of which nothing but its operands is kept for the gradient: that forms everything in between
 * again (Chen et al., arXiv 1604.06174). Values and gradients are those of the part itself. `part` uses no other tensors.
 */
export function checkpoint(part: Part, x: Tensor, weights: readonly Tensor[], fixed: readonly Tensor[] = []): Tensor {
  return withGradient(
    (...args) => {
      const [x, ...weights] = args.slice(0, -1) as unknown as [Tensor, ...Tensor[]];
      const save = args.at(-1) as unknown as Save;
      save([x, ...weights, ...fixed]);
      return {
        value: part(x, weights, fixed),
        gradFunc: (dy, saved) => {
          const kept = saved.slice(1 + weights.length);
          const again = (x: Tensor, ...weights: Tensor[]): Tensor => part(x, weights, kept);
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
 * pass formed, by us and by ONNX Runtime, and kept. Rows pass through a concatenation with one of `dy`; so do vectors, all
 * at once; nothing is formed of matrices alone.
 */
function after(dy: Tensor, [x, ...weights]: Tensor[]): Tensor[] {
  const row = tf.slice(dy, [0, 0], [1, -1]);
  const [rows] = tf.split(tf.concat([x!, row], 0), [x!.shape[0]!, 1], 0);
  const vectors = weights.filter(({ shape }) => shape.length === 1);
  const one = tf.reshape(tf.slice(dy, [0, 0], [1, 1]), [1]);
  const sizes = [...vectors.map(({ shape }) => shape[0]!), 1];
  const late = vectors.length === 0 ? [] : tf.split(tf.concat([...vectors, one], 0), sizes, 0);
  return [rows!, ...weights.map((weight) => (weight.shape.length === 1 ? late[vectors.indexOf(weight)]! : weight))];
}

/**
 * dx, which can be had only after the weights' gradients: a runtime that goes on to the part before would keep what this
 * one formed again until it comes back for them.
 */
function last(dx: Tensor, dWeights: readonly Tensor[]): Tensor {
  const size = dx.shape.reduce((a, b) => a * b, 1);
  const ones = dWeights.map((dw) =>
    tf.reshape(
      tf.slice(
        dw,
        dw.shape.map(() => 0),
        dw.shape.map(() => 1),
      ),
      [1],
    ),
  );
  const [flat] = tf.split(tf.concat([tf.reshape(dx, [size]), ...ones], 0), [size, ones.length], 0);
  return tf.reshape(flat!, dx.shape);
}

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
