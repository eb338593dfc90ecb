import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from './tfjs.js';

/**
 * The gradients that tfjs lacks or gets wrong, mended in this one place: broadcast BatchMatMul, SquaredDifference,
 * Maximum and Minimum (tfjs returns the broadcast shape), comparisons (tfjs has none, so `where(greater(x, 0), …)` cannot be differentiated).
 */
const MENDED: Readonly<
  Record<string, (dy: Tensor, saved: Tensor[], attributes: Record<string, unknown>) => Record<string, () => Tensor>>
> = {
  BatchMatMul: (dy, [a, b], { transposeA, transposeB }) => {
    const da = () =>
      transposeA ? tf.matMul(b!, dy, transposeB as boolean, true) : tf.matMul(dy, b!, false, !transposeB);
    const db = () =>
      transposeB ? tf.matMul(dy, a!, true, transposeA as boolean) : tf.matMul(a!, dy, !transposeA, false);
    return { a: () => unbroadcast(da(), a!.shape), b: () => unbroadcast(db(), b!.shape) };
  },
  SquaredDifference: (dy, [a, b]) => {
    const scaled = () => tf.mul(dy, tf.mul(2, tf.sub(a!, b!)));
    return { a: () => unbroadcast(scaled(), a!.shape), b: () => unbroadcast(tf.neg(scaled()), b!.shape) };
  },
  // Where both are equal, `a` gets the gradient.
  Maximum: (dy, [a, b]) => chosen(dy, a!, b!, tf.greaterEqual),
  Minimum: (dy, [a, b]) => chosen(dy, a!, b!, tf.lessEqual),
};

const chosen = (dy: Tensor, a: Tensor, b: Tensor, choosesA: (a: Tensor, b: Tensor) => Tensor) => {
  const ofA = () => tf.cast(choosesA(a, b), 'float32');
  return {
    a: () => unbroadcast(tf.mul(dy, ofA()), a.shape),
    b: () => unbroadcast(tf.mul(dy, tf.sub(1, ofA())), b.shape),
  };
};

const FLAT = ['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual'];

let installed = false;

/** Registers the mended gradients, once a process. */
export function installGradients(): void {
  if (installed) return;
  installed = true;
  tf.enableProdMode(); // else tfjs advises on the console to install another backend
  for (const [kernelName, gradFunc] of Object.entries(MENDED)) {
    tf.unregisterGradient(kernelName);
    tf.registerGradient({
      kernelName,
      inputsToSave: ['a', 'b'],
      gradFunc: (dy, saved, attributes) => gradFunc(dy as Tensor, saved, attributes as Record<string, unknown>),
    });
  }
  for (const kernelName of FLAT) {
    tf.registerGradient({
      kernelName,
      inputsToSave: ['a', 'b'],
      gradFunc: (_dy, [a, b]) => ({ a: () => tf.zeros(a!.shape), b: () => tf.zeros(b!.shape) }),
    });
  }
}

/** Sums `x` over the axes in which `shape` was broadcast, so that the result has `shape`. */
export function unbroadcast(x: Tensor, shape: readonly number[]): Tensor {
  const lead = x.shape.length - shape.length;
  const axes = x.shape.map((_, i) => i).filter((i) => i < lead || (shape[i - lead] === 1 && x.shape[i] !== 1));
  return axes.length === 0 ? x : tf.reshape(tf.sum(x, axes), [...shape]);
}
