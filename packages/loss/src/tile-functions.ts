import { gemm, matmul, type Specs, type Tensor, type TensorFunction, tf } from '@clipyard/engine';

/**
 * What is computed of one tile, in both directions. Legend: R rows of the tile (samples of this rank), C columns (samples
 * of the global batch), D embedding dimension. `image`, `text` are the rows' embeddings, `images`, `texts` the columns'.
 */
const embeddingSpecs = (R: number, C: number, D: number): Specs => ({
  image: { shape: [R, D] },
  text: { shape: [R, D] },
  images: { shape: [C, D] },
  texts: { shape: [C, D] },
  /** s, the exponential of the logit scale. */
  scale: { shape: [1, 1] },
});

/** Columns of a row's statistics. `sum` is that of e^(logit - max). */
export const STATISTICS = { imageMax: 0, imageSum: 1, textMax: 2, textSum: 3, diagonal: 4, notBelow: 5 } as const;
export const STATISTICS_WIDTH = 6;
/** The maximum before the first tile: finite, since -Infinity less itself is NaN. */
export const BEFORE_FIRST_TILE = -1e30;
/** Cosines that differ by less are equal for the accuracy: the diagonal is not summed in the order of the matrix product. */
export const TIE = 4e-6;

const logits = (rows_RD: Tensor, columns_CD: Tensor, scale: Tensor): Tensor =>
  matmul(tf.mul(rows_RD, scale), columns_CD, { transposeB: true });

/** Online log-sum-exp (Milakov and Gimelshein, arXiv 1805.02867): running maximum and sum, taken on by one tile. */
function takeOn(logits_RC: Tensor, max_R1: Tensor, sum_R1: Tensor): [Tensor, Tensor] {
  const max = tf.maximum(max_R1, tf.max(logits_RC, 1, true));
  const sum = tf.add(tf.mul(sum_R1, tf.exp(tf.sub(max_R1, max))), tf.sum(tf.exp(tf.sub(logits_RC, max)), 1, true));
  return [max, sum];
}

export const statisticsSpecs = (R: number, C: number, D: number): Specs => ({
  ...embeddingSpecs(R, C, D),
  before: { shape: [R, STATISTICS_WIDTH] },
});

/** Takes the statistics of the rows (`before`) on by one tile (`after`). */
export const statisticsTile: TensorFunction = (inputs) => {
  const { image, text, images, texts, scale, before } = inputs as Record<string, Tensor> & { before: Tensor };
  const R = before.shape[0]!;
  const column = (index: number) => tf.slice(before, [0, index], [R, 1]);
  const diagonal = tf.mul(tf.sum(tf.mul(image!, text!), 1, true), scale!);
  const imageLogits = logits(image!, texts!, scale!);
  const textLogits = logits(text!, images!, scale!);
  const floor = tf.sub(diagonal, tf.mul(scale!, TIE));
  const notBelow = tf.sum(tf.cast(tf.greaterEqual(imageLogits, floor), 'float32'), 1, true);
  return {
    after: tf.concat(
      [
        ...takeOn(imageLogits, column(STATISTICS.imageMax), column(STATISTICS.imageSum)),
        ...takeOn(textLogits, column(STATISTICS.textMax), column(STATISTICS.textSum)),
        diagonal,
        tf.add(column(STATISTICS.notBelow), notBelow),
      ],
      1,
    ),
  };
};

export const gradientSpecs = (R: number, C: number, D: number): Specs => ({
  ...embeddingSpecs(R, C, D),
  /** Log-sum-exps less ln(s/2B), so that weights come out multiplied by s/2B: of the rows, then of the columns. */
  imageLse: { shape: [R, 1] },
  textLse: { shape: [R, 1] },
  imagesLse: { shape: [1, C] },
  textsLse: { shape: [1, C] },
  dImageBefore: { shape: [R, D] },
  dTextBefore: { shape: [R, D] },
});

/** Adds one tile's share s/2B · (e^(A - lse_row) + e^(A - lse_column)) · columns to the gradients of the rows. */
export const gradientTile: TensorFunction = (inputs) => {
  const { image, text, images, texts, scale } = inputs;
  const weighted = (logits_RC: Tensor, lse_R1: Tensor, lse_1C: Tensor) =>
    tf.add(tf.exp(tf.sub(logits_RC, lse_R1)), tf.exp(tf.sub(logits_RC, lse_1C)));
  const imageWeights = weighted(logits(image!, texts!, scale!), inputs.imageLse!, inputs.textsLse!);
  const textWeights = weighted(logits(text!, images!, scale!), inputs.textLse!, inputs.imagesLse!);
  return {
    dImage: gemm(imageWeights, texts!, inputs.dImageBefore!),
    dText: gemm(textWeights, images!, inputs.dTextBefore!),
  };
};
