import { setImmediate } from 'node:timers/promises';
import type { Group } from '@clipyard/contracts';
import { type LbfgsResult, minimizeLbfgs } from '@clipyard/optim';

/**
 * Multinomial logistic regression in float64, as scikit-learn's LogisticRegression(C = 1/λ) defines it: λ/2 times the
 * squared weights and the sum of the cross-entropies, the intercepts free. Legend: n rows of this rank, N of all ranks,
 * F features, C classes.
 */
export interface LogisticRows {
  /** [·,F]; only `rows` of it are used. */
  readonly features: Float32Array;
  /** Class of each row of `features`. */
  readonly labels: Int32Array;
  /** Rows to use, n. */
  readonly rows: Int32Array;
}

export interface LogisticShape {
  readonly features: number;
  readonly classes: number;
}

/** [C,F] weights, then [C] intercepts. */
export type LogisticModel = Float64Array;

export interface FitOptions {
  /** λ. */
  readonly strength: number;
  /** Where to start; default zeros. The solution does not depend on it, the time does. */
  readonly from?: LogisticModel;
  readonly gradientTolerance?: number;
  readonly signal: AbortSignal;
}

/** scikit-learn's limit in CLIP's linear probes (arXiv 2103.00020, appendix A.3). */
const PROBE_ITERATIONS_LIMIT = 1000;
/** Its default of `tol`: the largest component of the gradient of the mean over samples. */
const SCIKIT_TOLERANCE = 1e-4;
/** Multiplications between two turns of the event loop. */
const TURN_PRODUCTS = 4_000_000;

/**
 * Fits on the rows of all ranks, which all get the same model bit for bit; each computes the sums of its own rows. The
 * search runs in coordinates in which the Hessian's diagonal is near 1, which does not move the minimum.
 */
export async function fitLogistic(
  group: Group,
  data: LogisticRows,
  shape: LogisticShape,
  { strength, from, gradientTolerance = SCIKIT_TOLERANCE, signal }: FitOptions,
): Promise<LbfgsResult> {
  const { features, classes } = shape;
  const weights = classes * features;
  const { total, meanSquares } = await moments(group, data, features, signal);
  const scales = new Float64Array(weights + classes).map((_, i) =>
    Math.sqrt(i < weights ? strength / total + meanSquares[i % features]! / classes : 1 / classes),
  );
  // The gradient, then the value.
  const sums = new Float64Array(weights + classes + 1);
  const objective = async (scaled: Float64Array, gradient: Float64Array): Promise<number> => {
    const model = scaled.map((value, i) => value / scales[i]!);
    sums.fill(0);
    await eachBlock(data, shape, model, signal, (block) => {
      for (let r = 0; r < block.count; r++) {
        const scores = block.scores[r]!;
        const label = data.labels[block.rows[r]!]!;
        const own = scores[label]!;
        sums[weights + classes]! += softmaxInPlace(scores) - own;
        scores[label]!--;
      }
      for (let r = block.count; r < BLOCK_ROWS; r++) block.scores[r]!.fill(0);
      addOuter(sums, block, shape);
    });
    await group.allReduce(sums, 'sum', { signal });
    let penalty = 0;
    for (let i = 0; i < weights; i++) penalty += model[i]! * model[i]!;
    for (let i = 0; i < gradient.length; i++) {
      gradient[i] = (sums[i]! + (i < weights ? strength * model[i]! : 0)) / total / scales[i]!;
    }
    return (sums[weights + classes]! + (strength / 2) * penalty) / total;
  };
  const start = (from ?? new Float64Array(weights + classes)).map((value, i) => value * scales[i]!);
  const result = await minimizeLbfgs(objective, start, { maxIterations: PROBE_ITERATIONS_LIMIT, gradientTolerance });
  return { ...result, x: result.x.map((value, i) => value / scales[i]!) };
}

/** How many rows all ranks have, at least 1, and the mean square of each feature. */
async function moments(
  group: Group,
  { features, rows }: LogisticRows,
  width: number,
  signal: AbortSignal,
): Promise<{ total: number; meanSquares: Float64Array }> {
  const sums = new Float64Array(width + 1);
  for (const row of rows) for (let f = 0; f < width; f++) sums[f]! += features[row * width + f]! ** 2;
  sums[width] = rows.length;
  await group.allReduce(sums, 'sum', { signal });
  const total = Math.max(1, sums[width]!);
  return { total, meanSquares: sums.subarray(0, width).map((sum) => sum / total) };
}

/** Calls `visit` with each row and its scores [C], which are used again between calls and may be written over. */
export async function eachScore(
  data: Pick<LogisticRows, 'features' | 'rows'>,
  shape: LogisticShape,
  model: LogisticModel,
  signal: AbortSignal,
  visit: (row: number, scores: Float64Array) => void,
): Promise<void> {
  await eachBlock(data, shape, model, signal, ({ count, rows, scores }) => {
    for (let r = 0; r < count; r++) visit(rows[r]!, scores[r]!);
  });
}

/** Rows that share the loads of a weight: the number that `addScores` and `addOuter` write out. */
const BLOCK_ROWS = 4;

interface Block {
  /** Rows in use; the others are copies of the first. */
  readonly count: number;
  readonly rows: readonly number[];
  /** In float64: [F] each. */
  readonly features: readonly Float64Array[];
  /** [C] each. */
  readonly scores: readonly Float64Array[];
}

async function eachBlock(
  { features, rows }: Pick<LogisticRows, 'features' | 'rows'>,
  shape: LogisticShape,
  model: LogisticModel,
  signal: AbortSignal,
  visit: (block: Block) => void,
): Promise<void> {
  const { features: F, classes } = shape;
  const arrays = (length: number) => Array.from({ length: BLOCK_ROWS }, () => new Float64Array(length));
  const [x, scores] = [arrays(F), arrays(classes)];
  let products = 0;
  for (let first = 0; first < rows.length; first += BLOCK_ROWS) {
    const count = Math.min(BLOCK_ROWS, rows.length - first);
    const taken = Array.from({ length: BLOCK_ROWS }, (_, r) => rows[first + (r < count ? r : 0)]!);
    taken.forEach((row, r) => {
      x[r]!.set(features.subarray(row * F, (row + 1) * F));
    });
    const block: Block = { count, rows: taken, features: x, scores };
    addScores(block, model, shape);
    visit(block);
    products += 2 * BLOCK_ROWS * classes * F;
    if (products < TURN_PRODUCTS) continue;
    products = 0;
    signal.throwIfAborted();
    await setImmediate();
  }
}

/** The scores of four rows. */
function addScores({ features, scores }: Block, model: LogisticModel, { features: F, classes }: LogisticShape): void {
  const [x0, x1, x2, x3] = features as [Float64Array, Float64Array, Float64Array, Float64Array];
  const [z0, z1, z2, z3] = scores as [Float64Array, Float64Array, Float64Array, Float64Array];
  for (let c = 0; c < classes; c++) {
    const intercept = model[classes * F + c]!;
    let a0 = intercept;
    let a1 = intercept;
    let a2 = intercept;
    let a3 = intercept;
    for (let f = 0, w = c * F; f < F; f++, w++) {
      const weight = model[w]!;
      a0 += weight * x0[f]!;
      a1 += weight * x1[f]!;
      a2 += weight * x2[f]!;
      a3 += weight * x3[f]!;
    }
    z0[c] = a0;
    z1[c] = a1;
    z2[c] = a2;
    z3[c] = a3;
  }
}

/** Adds the derivatives of four rows: those by the scores times their features, and those by the intercepts. */
function addOuter(sums: Float64Array, { features, scores }: Block, { features: F, classes }: LogisticShape): void {
  const [x0, x1, x2, x3] = features as [Float64Array, Float64Array, Float64Array, Float64Array];
  const [z0, z1, z2, z3] = scores as [Float64Array, Float64Array, Float64Array, Float64Array];
  for (let c = 0; c < classes; c++) {
    const d0 = z0[c]!;
    const d1 = z1[c]!;
    const d2 = z2[c]!;
    const d3 = z3[c]!;
    for (let f = 0, w = c * F; f < F; f++, w++) {
      sums[w]! += d0 * x0[f]! + d1 * x1[f]! + (d2 * x2[f]! + d3 * x3[f]!);
    }
    sums[classes * F + c]! += d0 + d1 + (d2 + d3);
  }
}

/** Turns scores into probabilities; returns the logarithm of the sum of their exponentials. */
export function softmaxInPlace(scores: Float64Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const score of scores) if (score > highest) highest = score;
  let sum = 0;
  for (let c = 0; c < scores.length; c++) sum += scores[c] = Math.exp(scores[c]! - highest);
  for (let c = 0; c < scores.length; c++) scores[c]! /= sum;
  return highest + Math.log(sum);
}
