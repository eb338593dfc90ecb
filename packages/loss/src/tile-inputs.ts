import { matmul, type Specs, type Tensor, tf } from '@clipyard/engine';
import { type Range, rowsOf } from './tiles.js';

/**
 * What programs of a tile share. Legend: R rows of the tile (samples of this rank), C columns (samples of the global
 * batch), D embedding dimension. `image`, `text` are the rows' embeddings, `images`, `texts` the columns'.
 */
export const embeddingSpecs = (R: number, C: number, D: number): Specs => ({
  image: { shape: [R, D] },
  text: { shape: [R, D] },
  images: { shape: [C, D] },
  texts: { shape: [C, D] },
  /** s, the exponential of the logit scale. */
  scale: { shape: [1, 1] },
});

export interface Embeddings {
  readonly image: Float32Array;
  readonly text: Float32Array;
}

export const embeddingInputs = (own: Embeddings, all: Embeddings, rows: Range, columns: Range, D: number) => ({
  image: rowsOf(own.image, rows, D),
  text: rowsOf(own.text, rows, D),
  images: rowsOf(all.image, columns, D),
  texts: rowsOf(all.text, columns, D),
});

/** This rank's rows of the gathered embeddings. */
export function ownRows(all: Embeddings, rank: number, b: number, D: number): Embeddings {
  const rows = { begin: rank * b, size: b };
  return { image: rowsOf(all.image, rows, D), text: rowsOf(all.text, rows, D) };
}

export const logits = (rows_RD: Tensor, columns_CD: Tensor, scale: Tensor): Tensor =>
  matmul(tf.mul(rows_RD, scale), columns_CD, { transposeB: true });

/** The logits of own pairs, [R,1]. */
export const ownLogits = ({ image, text, scale }: Record<string, Tensor>): Tensor =>
  tf.mul(tf.sum(tf.mul(image!, text!), 1, true), scale!);

/** A running maximum before the first tile: finite, since -Infinity less itself is NaN. */
export const BEFORE_FIRST_TILE = -1e30;
/** Added to logits of pairs that do not count: e to such a logit is 0, even less `BEFORE_FIRST_TILE`. */
const MASKED = -2e30;
/** Cosines that differ by less are equal for the accuracy: own pairs are not summed in the order of the matrix product. */
export const TIE = 4e-6;

export const duplicateSpecs = (R: number, C: number): Specs => ({
  group: { shape: [R, 1] },
  groups: { shape: [1, C] },
});

/** [R,C]: what takes pairs of one group out, own pairs among them. */
export const duplicateMask = ({ group, groups }: Record<string, Tensor>): Tensor =>
  tf.mul(tf.cast(tf.equal(group!, groups!), 'float32'), MASKED);

/** How many logits of a row are not below the own one, [R,1]. */
export const countNotBelow = (logits_RC: Tensor, own_R1: Tensor, scale: Tensor): Tensor =>
  tf.sum(tf.cast(tf.greaterEqual(logits_RC, tf.sub(own_R1, tf.mul(scale, TIE))), 'float32'), 1, true);

/** The share of a hit that a row is: 1, 1/k with k equal best ones, 0. `notBelow` counts the own one. */
export const hitShare = (max: number, own: number, notBelow: number, scale: number): number =>
  max <= own + scale * TIE ? 1 / notBelow : 0;

/** Since A = s·I·Tᵀ and dI = s·G·T, the gradient by ln s, Σ G∘A, is Σ I∘dI: no pass over the logits. */
export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
