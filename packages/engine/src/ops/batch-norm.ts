import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { columnSum } from './fused.js';
import { type Save, withGradient } from './with-gradient.js';

/** Batch norm (Ioffe and Szegedy, arXiv 1502.03167) over the rows of x_nc: n places of all samples, c channels. */

/** As in PyTorch. */
const EPSILON = 1e-5;

/** Mean and variance [c]; of a batch the unbiased one, as an estimate for all pictures. */
export interface BatchStatistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/**
 * x_nc with the mean and variance of its own rows taken out, times gain_c plus bias_c. `observe` gets the statistics,
 * which have no gradient and which the caller disposes of.
 */
export function batchNorm(
  x: Tensor,
  gain: Tensor,
  bias: Tensor,
  observe: (statistics: BatchStatistics) => void,
): Tensor {
  const n = x.shape[0]!;
  if (n === 1) throw new Error('one row has no variance: batch norm needs more places or samples');
  return withGradient(
    (...args) => {
      const [x, gain, bias, save] = args as unknown as [Tensor, Tensor, Tensor, Save];
      const mean = columnSum(x, 1 / n);
      // From the distances to the mean, since E[x²] - E[x]² cancels.
      const centred = tf.sub(x, mean) as Tensor;
      const variance = columnSum(tf.square(centred), 1 / n);
      const inverse = tf.rsqrt(tf.add(variance, EPSILON));
      observe({ mean: tf.keep(mean), variance: tf.keep(tf.mul(variance, n / (n - 1)) as Tensor) });
      save([centred, inverse, gain]);
      return {
        value: tf.add(tf.mul(centred, tf.mul(inverse, gain)), bias),
        gradFunc: (dy, saved) => {
          const [centred, inverse, gain] = saved as [Tensor, Tensor, Tensor];
          const scale = tf.mul(inverse, gain);
          const dBias = columnSum(dy);
          const product = columnSum(tf.mul(dy, centred));
          const slope = tf.mul(tf.mul(scale, tf.square(inverse)), tf.mul(product, -1 / n));
          const offset = tf.mul(tf.mul(scale, dBias), -1 / n);
          return [tf.add(tf.add(tf.mul(dy, scale), tf.mul(centred, slope)), offset), tf.mul(product, inverse), dBias];
        },
      };
    },
    x,
    gain,
    bias,
  );
}

/** Means over rows [c] of the cotangent, and of its product with x as normalised. */
export interface CotangentMeans {
  readonly cotangent: Tensor;
  readonly product: Tensor;
}

/** What a norm whose rows lie in several places needs of the others: each gets what these rows give, and returns that of all. */
export interface NormExchange {
  /** Mean and variance [c] of n rows, this one not the unbiased one. */
  statistics(own: BatchStatistics, n: number): BatchStatistics;
  cotangents(own: CotangentMeans): CotangentMeans;
}

/**
 * `batchNorm` over rows of which x_nc are some, as many as in every other place. The gradients of gain and bias are of these
 * rows, so that their sum over all places is that of all rows.
 */
export function globalBatchNorm(x: Tensor, gain: Tensor, bias: Tensor, exchange: NormExchange): Tensor {
  const n = x.shape[0]!;
  return withGradient(
    (...args) => {
      const [x, gain, bias, save] = args as unknown as [Tensor, Tensor, Tensor, Save];
      const ownMean = columnSum(x, 1 / n);
      const ownVariance = columnSum(tf.square(tf.sub(x, ownMean)), 1 / n);
      const { mean, variance } = exchange.statistics({ mean: ownMean, variance: ownVariance }, n);
      const centred = tf.sub(x, mean) as Tensor;
      const inverse = tf.rsqrt(tf.add(variance, EPSILON));
      save([centred, inverse, gain]);
      return {
        value: tf.add(tf.mul(centred, tf.mul(inverse, gain)), bias),
        gradFunc: (dy, saved) => {
          const [centred, inverse, gain] = saved as [Tensor, Tensor, Tensor];
          const dBias = columnSum(dy);
          const dGain = tf.mul(columnSum(tf.mul(dy, centred)), inverse) as Tensor;
          const own = { cotangent: tf.mul(dBias, 1 / n) as Tensor, product: tf.mul(dGain, 1 / n) as Tensor };
          const { cotangent, product } = exchange.cotangents(own);
          const scale = tf.mul(inverse, gain);
          const slope = tf.neg(tf.mul(tf.mul(scale, inverse), product));
          const offset = tf.neg(tf.mul(scale, cotangent));
          return [tf.add(tf.add(tf.mul(dy, scale), tf.mul(centred, slope)), offset), dGain, dBias];
        },
      };
    },
    x,
    gain,
    bias,
  );
}

/** x_nc normalised with given statistics [c] instead of its own, times gain_c plus bias_c. */
export function fixedNorm(x: Tensor, gain: Tensor, bias: Tensor, { mean, variance }: BatchStatistics): Tensor {
  const scale = tf.mul(gain, tf.rsqrt(tf.add(variance, EPSILON)));
  return tf.add(tf.mul(x, scale), tf.sub(bias, tf.mul(mean, scale)));
}
