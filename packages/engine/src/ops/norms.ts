import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { columnSum, gemm, matmul, standardize } from './fused.js';
import { weightGradient } from './layers.js';
import { type Save, withGradient } from './with-gradient.js';

/** Layer norm, alone and before a linear layer. Legend as in layers.ts: n rows, d width in, e width out. */

/** PyTorch's. */
const EPSILON = 1e-5;

/** Layer norm over the last axis of x_nd with gain_d and bias_d (Ba et al., arXiv 1607.06450). */
export function layerNorm(x: Tensor, gain: Tensor, bias: Tensor, epsilon = EPSILON): Tensor {
  return withGradient(
    (...args) => {
      const [x, gain, bias, save] = args as unknown as [Tensor, Tensor, Tensor, Save];
      const { normal, inverse } = standardize(x, epsilon);
      save([normal, inverse, gain]);
      return {
        value: tf.add(tf.mul(normal, gain), bias),
        gradFunc: (dy, saved) => {
          const [normal, inverse, gain] = saved as [Tensor, Tensor, Tensor];
          const d = tf.mul(dy, gain);
          return [
            normGradient(tf.sub(d, tf.mean(d, -1, true)), d, normal, inverse),
            columnSum(tf.mul(dy, normal)),
            columnSum(dy),
          ];
        },
      };
    },
    x,
    gain,
    bias,
  );
}

/** layerNorm(x_nd, gain_d, bias_d) followed by w_ed and b_e, times `scale`, in one matrix product. */
export function normLinear(
  x: Tensor,
  gain: Tensor,
  bias: Tensor,
  w: Tensor,
  b: Tensor,
  scale = 1,
  epsilon = EPSILON,
): Tensor {
  const fold = x.shape[0]! >= w.shape[0]!;
  return (fold ? foldedNormLinear : plainNormLinear)(x, gain, bias, w, b, scale, epsilon);
}

/**
 * For at least as many rows as the weight has: gain and bias go into the weight, and so does centring (the normalised
 * rows have mean 0), which saves passes over the activations both ways and keeps a second weight.
 */
function foldedNormLinear(
  x: Tensor,
  gain: Tensor,
  bias: Tensor,
  w: Tensor,
  b: Tensor,
  scale: number,
  epsilon: number,
): Tensor {
  const [e, d] = w.shape as [number, number];
  return withGradient(
    (...args) => {
      const [x, gain, bias, w, b, save] = args as unknown as [Tensor, Tensor, Tensor, Tensor, Tensor, Save];
      const { normal, inverse } = standardize(x, epsilon);
      const scaled = tf.mul(w, tf.reshape(gain, [1, d]));
      const folded = tf.sub(scaled, tf.mean(scaled, 1, true));
      const offset = tf.add(tf.reshape(matmul(w, tf.reshape(bias, [d, 1])), [e]), b);
      save([normal, inverse, folded, gain, bias, w]);
      return {
        value: gemm(normal, folded, scale === 1 ? offset : tf.mul(offset, scale), { transposeB: true, alpha: scale }),
        gradFunc: (dy, saved) => {
          const [normal, inverse, folded, gain, bias, w] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
          const dNormal = matmul(dy, folded, { alpha: scale });
          const dFolded = weightGradient(dy, normal, scale);
          const dOffset = columnSum(dy, scale);
          const dWeight = tf.add(
            tf.mul(dFolded, tf.reshape(gain, [1, d])),
            tf.mul(tf.reshape(dOffset, [e, 1]), tf.reshape(bias, [1, d])),
          );
          const dBias = tf.reshape(matmul(tf.reshape(dOffset, [1, e]), w), [d]);
          return [
            normGradient(dNormal, dNormal, normal, inverse),
            tf.sum(tf.mul(w, dFolded), 0),
            dBias,
            dWeight,
            dOffset,
          ];
        },
      };
    },
    x,
    gain,
    bias,
    w,
    b,
  );
}

/** For fewer rows than the weight has, where passes over the rows are the cheaper ones. */
function plainNormLinear(
  x: Tensor,
  gain: Tensor,
  bias: Tensor,
  w: Tensor,
  b: Tensor,
  scale: number,
  epsilon: number,
): Tensor {
  return withGradient(
    (...args) => {
      const [x, gain, bias, w, b, save] = args as unknown as [Tensor, Tensor, Tensor, Tensor, Tensor, Save];
      const { normal, inverse } = standardize(x, epsilon);
      save([normal, inverse, gain, bias, w]);
      const y = tf.add(tf.mul(normal, gain), bias);
      return {
        value: gemm(y, w, scale === 1 ? b : tf.mul(b, scale), { transposeB: true, alpha: scale }),
        gradFunc: (dy, saved) => {
          const [normal, inverse, gain, bias, w] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor];
          const dScaled = matmul(dy, w, { alpha: scale });
          const d = tf.mul(dScaled, gain);
          // Written the other way round than above: the same expression would be computed once and kept in between.
          const again = tf.add(bias, tf.mul(gain, normal));
          return [
            normGradient(tf.sub(d, tf.mean(d, -1, true)), d, normal, inverse),
            columnSum(tf.mul(dScaled, normal)),
            columnSum(dScaled),
            weightGradient(dy, again, scale),
            columnSum(dy, scale),
          ];
        },
      };
    },
    x,
    gain,
    bias,
    w,
    b,
  );
}

/** Gradient of standardisation: inverse ∘ (centred − normal ∘ mean(d ∘ normal)), `centred` being d less its mean. */
const normGradient = (centred: Tensor, d: Tensor, normal: Tensor, inverse: Tensor): Tensor =>
  tf.mul(inverse, tf.sub(centred, tf.mul(normal, tf.mean(tf.mul(d, normal), -1, true))));
