import type { NamedAttrMap, NamedTensorMap, Tensor } from '@tensorflow/tfjs-core';
import { RECORDER } from '../graph/recorder-backend.js';
import { tf } from '../tfjs.js';

/**
 * Operations that runtimes have fused. While recording they are one operation of the graph; on other backends they are
 * composed of tfjs ops. They have no gradient of their own: the layers built on them bring theirs.
 */
function fused(kernel: string, inputs: NamedTensorMap, attributes: NamedAttrMap, compose: () => Tensor[]): Tensor[] {
  if (tf.getBackend() !== RECORDER) return compose();
  const results = tf.engine().runKernel(kernel, inputs, attributes) as unknown as Tensor | Tensor[];
  return Array.isArray(results) ? results : [results];
}

export interface Transposes {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** alpha · a·b over the last two axes, leading axes broadcast. */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, alpha = 1 }: Transposes & { alpha?: number } = {},
): Tensor {
  return fused('ClipyardMatMul', { a, b }, { transposeA, transposeB, alpha }, () => {
    const product = tf.matMul(a, b, transposeA, transposeB);
    return [alpha === 1 ? product : tf.mul(product, alpha)];
  })[0]!;
}

/** alpha · a·b + c for matrices; c broadcasts to the product. */
export function gemm(
  a: Tensor,
  b: Tensor,
  c: Tensor,
  { transposeA = false, transposeB = false, alpha = 1 }: Transposes & { alpha?: number } = {},
): Tensor {
  return fused('ClipyardGemm', { a, b, c }, { transposeA, transposeB, alpha }, () => {
    const product = tf.matMul(a, b, transposeA, transposeB);
    return [tf.add(alpha === 1 ? product : tf.mul(product, alpha), c)];
  })[0]!;
}

/**
 * alpha times the sum of a matrix [n,d] over its rows, as a product with ones (a GEMM, several times faster than a
 * reduction). Result [d].
 */
export function columnSum(x: Tensor, alpha = 1): Tensor {
  const [n, d] = x.shape as [number, number];
  // Elsewhere a sum: products may be rounded, sums not.
  if (tf.getBackend() !== RECORDER) return tf.mul(tf.sum(x, 0), alpha);
  return tf.reshape(matmul(tf.fill([1, n], 1), x, { alpha }), [d]);
}

/** x over the last axis with mean 0 and variance 1, and 1/standard deviation [...,1]. */
export function standardize(x: Tensor, epsilon: number): { normal: Tensor; inverse: Tensor } {
  const [normal, , inverse] = fused('ClipyardLayerNorm', { x }, { epsilon }, () => {
    const mean = tf.mean(x, -1, true);
    const centred = tf.sub(x, mean);
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
    return [tf.mul(centred, inverse), mean, inverse];
  });
  return { normal: normal!, inverse: inverse! };
}
