import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { columnSum, gemm, matmul } from './fused.js';
import { type Save, withGradient } from './with-gradient.js';

/**
 * Layers with derivatives by hand, where that saves nodes and memory. Legend: n rows (tokens of all samples),
 * d width in, e width out, V rows of a table. Weights are [out, in], as PyTorch stores them.
 */

/** scale · x_nd · w_edᵀ + b_e (+ residual_ne); the scale costs nothing. */
export function linear(x: Tensor, w: Tensor, b: Tensor, residual?: Tensor, scale = 1): Tensor {
  const gradients = (dy: Tensor, x: Tensor, w: Tensor): Tensor[] => [
    matmul(dy, w, { alpha: scale }),
    weightGradient(dy, x, scale),
    columnSum(dy),
  ];
  if (residual === undefined) {
    return withGradient(
      (...args) => {
        const [x, w, b, save] = args as unknown as [Tensor, Tensor, Tensor, Save];
        save([x, w]);
        return {
          value: gemm(x, w, b, { transposeB: true, alpha: scale }),
          gradFunc: (dy, [x, w]) => gradients(dy, x!, w!),
        };
      },
      x,
      w,
      b,
    );
  }
  return withGradient(
    (...args) => {
      const [x, w, b, r, save] = args as unknown as [Tensor, Tensor, Tensor, Tensor, Save];
      save([x, w]);
      return {
        value: tf.add(gemm(x, w, r, { transposeB: true, alpha: scale }), b),
        gradFunc: (dy, [x, w]) => [...gradients(dy, x!, w!), dy],
      };
    },
    x,
    w,
    b,
    residual,
  );
}

/** scale · dy_neᵀ · x_nd, [e,d]: as the product with more rows than columns, which GEMMs are better at. */
export function weightGradient(dy: Tensor, x: Tensor, scale: number): Tensor {
  if (dy.shape[1]! >= x.shape[1]!) return matmul(dy, x, { transposeA: true, alpha: scale });
  return tf.transpose(matmul(x, dy, { transposeA: true, alpha: scale }));
}

/** x · sigmoid(x) (SiLU; Elfwing et al., arXiv 1702.03118). */
export function silu(x: Tensor): Tensor {
  return withGradient((...args) => {
    const [x, save] = args as unknown as [Tensor, Save];
    const gate = tf.sigmoid(x);
    const value = tf.mul(x, gate);
    save([gate, value]);
    return {
      value,
      gradFunc: (dy, saved) => {
        const [gate, value] = saved as [Tensor, Tensor];
        return [tf.mul(dy, tf.add(gate, tf.mul(value, tf.sub(1, gate))))];
      },
    };
  }, x);
}

/** Rows `indices` (int32, [n]) of table_Vd. Rows may repeat; their gradients add up. */
export function rows(table: Tensor, indices: Tensor): Tensor {
  const count = table.shape[0]!;
  return withGradient((...args) => {
    const [table, save] = args as unknown as [Tensor, Save];
    save([indices]);
    return {
      value: tf.gather(table, indices),
      gradFunc: (dy, [indices]) => [tf.unsortedSegmentSum(dy as never, indices as never, count)],
    };
  }, table);
}

/** x with rows of Euclidean length 1. */
export function l2Normalize(x: Tensor): Tensor {
  return tf.div(x, tf.sqrt(tf.sum(tf.square(x), -1, true)));
}
