import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { matmul } from './fused.js';
import { weightGradient } from './layers.js';
import { type Save, withGradient } from './with-gradient.js';

/** Layers on pictures. Legend: n samples, h and w rows and columns, c channels in, e channels out. */

/**
 * The convolution (cross-correlation, as in PyTorch) of x_nhwc with w_ecij, without bias: the filter moves by `stride`, and
 * `padding` rows and columns of zeros lie around the pictures. Result [n,h',w',e].
 */
export function convolution(x: Tensor, w: Tensor, { stride = 1, padding = 0 } = {}): Tensor {
  const [width, channels, rows, columns] = w.shape as [number, number, number, number];
  if (rows * columns > 1 || stride !== 1 || padding !== 0)
    return tf.conv2d(x as never, tf.transpose(w, [2, 3, 1, 0]) as never, stride, padding || 'valid', 'NHWC', 1);
  const [samples, height, breadth] = x.shape as [number, number, number, number];
  const places = tf.reshape(x, [samples * height * breadth, channels]);
  return tf.reshape(pointwise(places, tf.reshape(w, [width, channels])), [samples, height, breadth, width]);
}

/** x_nc · w_ecᵀ. */
function pointwise(x: Tensor, w: Tensor): Tensor {
  return withGradient(
    (...args) => {
      const [x, w, save] = args as unknown as [Tensor, Tensor, Save];
      save([x, w]);
      return {
        value: matmul(x, w, { transposeB: true }),
        gradFunc: (dy, saved) => {
          const [x, w] = saved as [Tensor, Tensor];
          return [matmul(dy, w), weightGradient(dy, x, 1)];
        },
      };
    },
    x,
    w,
  );
}

/** Means of the size x size squares that x_nhwc divides into: [n,h/size,w/size,c]. */
export const averagePool = (x: Tensor, size: number): Tensor => tf.avgPool(x as never, size, size, 'valid');

/** max(x, 0). Keeps its result for the backward pass, which is what the next layer keeps too. */
export function relu(x: Tensor): Tensor {
  return withGradient((...args) => {
    const [x, save] = args as unknown as [Tensor, Save];
    const value = tf.relu(x);
    save([value]);
    return {
      value,
      gradFunc: (dy, [value]) => [tf.where(tf.greater(value!, 0), dy, tf.scalar(0))],
    };
  }, x);
}
