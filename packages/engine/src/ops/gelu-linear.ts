import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { columnSum, gemm, matmul } from './fused.js';
import { weightGradient } from './layers.js';
import { type Save, withGradient } from './with-gradient.js';

/**
 * gelu(x_nd) · w_edᵀ + b_e (+ residual_ne), with the exact GELU x · Φ(x) (Hendrycks and Gimpel, arXiv 1606.08415). Keeps x
 * and Φ(x) for the backward pass, and forms their product again.
 */
export function geluLinear(x: Tensor, w: Tensor, b: Tensor, residual?: Tensor): Tensor {
  const added = residual === undefined ? [] : [residual];
  return withGradient(
    (...args) => {
      const [x, w, b] = args as unknown as [Tensor, Tensor, Tensor];
      const [r, save] = args.slice(-2) as unknown as [Tensor, Save];
      const cumulative = tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
      save([x, cumulative, w]);
      return {
        value:
          residual === undefined
            ? gemm(tf.mul(x, cumulative), w, b, { transposeB: true })
            : tf.add(gemm(tf.mul(x, cumulative), w, r, { transposeB: true }), b),
        gradFunc: (dy, saved) => {
          const [x, cumulative, w] = saved as [Tensor, Tensor, Tensor];
          const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
          // Written the other way round than above: the same expression would be computed once and kept in between.
          const activated = tf.mul(cumulative, x);
          return [
            tf.mul(matmul(dy, w), tf.add(cumulative, tf.mul(x, density))),
            weightGradient(dy, activated, 1),
            columnSum(dy),
            ...(residual === undefined ? [] : [dy]),
          ];
        },
      };
    },
    x,
    w,
    b,
    ...added,
  );
}
