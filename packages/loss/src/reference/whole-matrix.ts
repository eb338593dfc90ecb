/**
 * The losses of the whole batch in float64, each from its definition over the whole matrix of logits: slow, and what the
 * tests hold the tiled ones against. Legend: B samples, D embedding dimension, u the pairs that are contrasted.
 */
export interface WholeBatch {
  readonly B: number;
  readonly D: number;
  readonly image: ArrayLike<number>;
  readonly text: ArrayLike<number>;
  readonly logitScale: number;
  readonly logitBias?: number;
  /** Samples with equal keys are duplicates. */
  readonly keys?: readonly number[];
  readonly teacher?: {
    readonly D: number;
    readonly image: ArrayLike<number>;
    readonly text: ArrayLike<number>;
    readonly logitScale: number;
  };
}

export interface WholeOptions {
  readonly type: 'clip' | 'siglip';
  readonly labelSmoothing?: number;
  readonly distill?: { readonly weight: number; readonly temperature: number };
}

export interface LossAndGradients {
  readonly loss: number;
  readonly accuracy: number;
  readonly dImage: ArrayLike<number>;
  readonly dText: ArrayLike<number>;
  readonly dLogitScale: number;
  readonly dLogitBias: number;
}

type Matrix = number[][];
const matrix = (B: number, at: (i: number, j: number) => number): Matrix =>
  Array.from({ length: B }, (_, i) => Array.from({ length: B }, (_, j) => at(i, j)));
const transposed = (m: Matrix): Matrix => matrix(m.length, (i, j) => m[j]![i]!);
const sumOf = (m: Matrix): number => m.flat().reduce((sum, x) => sum + x, 0);

/** Cosine similarities times e^logitScale, without a bias. */
function logitsOf(of: Pick<WholeBatch, 'D' | 'image' | 'text' | 'logitScale'>, B: number): Matrix {
  const scale = Math.exp(of.logitScale);
  return matrix(B, (i, j) => {
    let cosine = 0;
    for (let k = 0; k < of.D; k++) cosine += of.image[i * of.D + k]! * of.text[j * of.D + k]!;
    return scale * cosine;
  });
}

/** 1 where a pair counts: the own one, and those that are no duplicates. */
const contrasted = ({ B, keys }: WholeBatch): Matrix =>
  matrix(B, (i, j) => (i === j || keys === undefined || keys[i] !== keys[j] ? 1 : 0));

/** Logarithms of the softmax over each row's pairs with u = 1. */
function logSoftmax(logits: Matrix, u: Matrix): Matrix {
  return logits.map((row, i) => {
    const counted = row.filter((_, j) => u[i]![j] === 1);
    const max = Math.max(...counted);
    const lse = max + Math.log(counted.reduce((sum, x) => sum + Math.exp(x - max), 0));
    return row.map((x, j) => (u[i]![j] === 1 ? x - lse : Number.NEGATIVE_INFINITY));
  });
}

/** The mean over rows of the cross-entropy with targets q, and its derivative by the logits, where rows of q sum to 1. */
function crossEntropy(logits: Matrix, u: Matrix, q: Matrix): { value: number; derivative: Matrix } {
  const B = logits.length;
  const logP = logSoftmax(logits, u);
  let value = 0;
  for (let i = 0; i < B; i++) for (let j = 0; j < B; j++) if (q[i]![j] !== 0) value -= (q[i]![j]! * logP[i]![j]!) / B;
  return { value, derivative: matrix(B, (i, j) => (Math.exp(logP[i]![j]!) - q[i]![j]!) / B) };
}

/** Half the cross-entropy of the rows and half that of the columns; `targets` makes q for either. */
function symmetric(logits: Matrix, u: Matrix, targets: (transpose: boolean) => Matrix) {
  const rows = crossEntropy(logits, u, targets(false));
  const columns = crossEntropy(transposed(logits), transposed(u), targets(true));
  return {
    value: (rows.value + columns.value) / 2,
    derivative: matrix(logits.length, (i, j) => (rows.derivative[i]![j]! + columns.derivative[j]![i]!) / 2),
  };
}

function clip(batch: WholeBatch, { labelSmoothing: epsilon = 0, distill }: WholeOptions) {
  const { B, teacher } = batch;
  const A = logitsOf(batch, B);
  const u = contrasted(batch);
  const count = u.map((row) => row.reduce((sum, x) => sum + x, 0));
  const contrastive = symmetric(A, u, () =>
    matrix(B, (i, j) => (i === j ? 1 - epsilon : 0) + (epsilon * u[i]![j]!) / count[i]!),
  );
  if (distill === undefined || teacher === undefined) return contrastive;
  const { weight, temperature } = distill;
  const all = matrix(B, () => 1);
  const cooled = (logits: Matrix): Matrix => logits.map((row) => row.map((x) => x / temperature));
  const taught = cooled(logitsOf(teacher, B));
  const distillation = symmetric(cooled(A), all, (transpose) =>
    logSoftmax(transpose ? transposed(taught) : taught, all).map((row) => row.map(Math.exp)),
  );
  return {
    value: contrastive.value + weight * temperature ** 2 * distillation.value,
    derivative: matrix(
      B,
      (i, j) => contrastive.derivative[i]![j]! + weight * temperature * distillation.derivative[i]![j]!,
    ),
  };
}

function siglip(batch: WholeBatch) {
  const { B, logitBias = 0 } = batch;
  const A = logitsOf(batch, B);
  const u = contrasted(batch);
  const sign = (i: number, j: number) => (i === j ? 1 : -1);
  const margin = (i: number, j: number) => sign(i, j) * (A[i]![j]! + logitBias);
  const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  return {
    value: sumOf(matrix(B, (i, j) => u[i]![j]! * softplus(-margin(i, j)))) / B,
    derivative: matrix(B, (i, j) => (-u[i]![j]! * sign(i, j)) / (1 + Math.exp(margin(i, j))) / B),
  };
}

const lossOf = (batch: WholeBatch, options: WholeOptions) =>
  options.type === 'clip' ? clip(batch, options) : siglip(batch);

export const wholeLoss = (batch: WholeBatch, options: WholeOptions): number => lossOf(batch, options).value;

export function wholeLossAndGradients(batch: WholeBatch, options: WholeOptions): LossAndGradients {
  const { B, D, image, text } = batch;
  const { value, derivative } = lossOf(batch, options);
  const scale = Math.exp(batch.logitScale);
  const A = logitsOf(batch, B);
  const u = contrasted(batch);
  const dImage = new Float64Array(B * D);
  const dText = new Float64Array(B * D);
  for (let i = 0; i < B; i++) {
    for (let j = 0; j < B; j++) {
      for (let k = 0; k < D; k++) {
        dImage[i * D + k]! += scale * derivative[i]![j]! * text[j * D + k]!;
        dText[j * D + k]! += scale * derivative[i]![j]! * image[i * D + k]!;
      }
    }
  }
  const hits = A.filter((row, i) => row.every((x, j) => j === i || u[i]![j] === 0 || x < row[i]!)).length;
  return {
    loss: value,
    accuracy: hits / B,
    dImage,
    dText,
    dLogitScale: sumOf(matrix(B, (i, j) => derivative[i]![j]! * A[i]![j]!)),
    dLogitBias: options.type === 'clip' ? 0 : sumOf(derivative),
  };
}
