import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';

export type Save = (tensors: Tensor[]) => void;
type Forward = (...inputs: [...Tensor[], Save]) => {
  value: Tensor;
  gradFunc: (dy: Tensor, saved: Tensor[]) => Tensor[];
};

/** tf.customGrad, typed for our use. */
export const withGradient = (forward: Forward, ...inputs: Tensor[]): Tensor =>
  (tf.customGrad as unknown as (f: Forward) => (...inputs: Tensor[]) => Tensor)(forward)(...inputs);
