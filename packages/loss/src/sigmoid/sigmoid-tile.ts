import { gemm, type Specs, type Tensor, type TensorFunction, tf } from '@clipyard/engine';
import { countNotBelow, duplicateMask, duplicateSpecs, embeddingSpecs, logits, ownLogits } from '../tile-inputs.js';

/** Statistics of a row: of its texts' logits the largest and how many are not below the own one; sums over x = logit + bias. */
export const SIGMOID_STATISTICS = ['max', 'notBelow', 'diagonal', 'softplus', 'sigmoid'] as const;
export type SigmoidStatistic = (typeof SIGMOID_STATISTICS)[number];

export const sigmoidSpecs = (masked: boolean, R: number, C: number, D: number): Specs => ({
  ...embeddingSpecs(R, C, D),
  ...(masked ? duplicateSpecs(R, C) : {}),
  bias: { shape: [1, 1] },
  /** s/B. */
  factor: { shape: [1, 1] },
  before: { shape: [R, SIGMOID_STATISTICS.length] },
  dImageBefore: { shape: [R, D] },
  dTextBefore: { shape: [R, D] },
});

/** By way of the exponential: runtimes approximate the function to an absolute error, and most pairs lie near 0. */
const sigmoid = (x: Tensor): Tensor => tf.reciprocal(tf.add(tf.exp(tf.neg(x)), 1));

/**
 * ln(1 + e^x). Where y = e^-|x| is small, 1 + y is rounded; ln(1+y) is that of the rounded sum and, to first order, of
 * what rounding took away.
 */
function softplus(x: Tensor): Tensor {
  const y = tf.exp(tf.neg(tf.abs(x)));
  const rounded = tf.add(y, 1);
  const rest = tf.sub(y, tf.sub(rounded, 1));
  return tf.add(tf.maximum(x, 0), tf.add(tf.log(rounded), tf.div(rest, rounded)));
}

/** One tile, in both directions, all pairs being negatives: own pairs are made positives outside. See `tile-inputs.ts`. */
export const sigmoidTile =
  (masked: boolean): TensorFunction =>
  (inputs) => {
    const { image, text, images, texts, scale, bias, factor, before } = inputs as Record<string, Tensor> & {
      before: Tensor;
      scale: Tensor;
    };
    const R = before.shape[0]!;
    const column = (name: SigmoidStatistic): Tensor => tf.slice(before, [0, SIGMOID_STATISTICS.indexOf(name)], [R, 1]);
    const mask = masked ? duplicateMask(inputs) : undefined;
    const contrasted = (logits_RC: Tensor): Tensor => (mask === undefined ? logits_RC : tf.add(logits_RC, mask));
    const diagonal = ownLogits(inputs);
    const imageLogits = contrasted(logits(image!, texts!, scale));
    const textLogits = contrasted(logits(text!, images!, scale));
    const shifted = tf.add(imageLogits, bias!) as Tensor;
    const imageWeights = sigmoid(shifted);
    const textWeights = sigmoid(tf.add(textLogits, bias!));
    const after: Record<SigmoidStatistic, Tensor> = {
      max: tf.maximum(column('max'), tf.max(imageLogits, 1, true)),
      notBelow: tf.add(column('notBelow'), countNotBelow(imageLogits, diagonal, scale)),
      diagonal,
      softplus: tf.add(column('softplus'), tf.sum(softplus(shifted), 1, true)),
      sigmoid: tf.add(column('sigmoid'), tf.sum(imageWeights, 1, true)),
    };
    return {
      after: tf.concat(
        SIGMOID_STATISTICS.map((name) => after[name]),
        1,
      ),
      dImage: gemm(imageWeights, tf.mul(texts!, factor!), inputs.dImageBefore!),
      dText: gemm(textWeights, tf.mul(images!, factor!), inputs.dTextBefore!),
    };
  };
