import { type Engine, openEngine, tf } from '@clipyard/engine';
import { expectBitwise, formulaValues, referenceGroups } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ContrastiveLossOptions, compileContrastiveLoss } from './contrastive-loss.js';

/** Legend: W ranks, b local rows, B global rows, D embedding dimension. */
interface Batch {
  readonly B: number;
  readonly D: number;
  readonly image: Float32Array;
  readonly text: Float32Array;
  readonly logitScale: number;
}

interface Gradients {
  readonly loss: number;
  readonly accuracy: number;
  readonly dImage: ArrayLike<number>;
  readonly dText: ArrayLike<number>;
  readonly dLogitScale: number;
}

/** Rows of length 1; the texts resemble their images, more or less. */
function batch(B: number, D: number, logitScale: number, likeness = 0.3): Batch {
  const image = formulaValues(`image ${B}x${D}`, B * D);
  const noise = formulaValues(`text ${B}x${D}`, B * D);
  return {
    B,
    D,
    image: unitRows(image, D),
    text: unitRows(
      image.map((x, i) => likeness * x + (1 - likeness) * noise[i]!),
      D,
    ),
    logitScale,
  };
}

function unitRows(values: Float32Array, D: number): Float32Array {
  const rows = values.slice();
  for (let at = 0; at < rows.length; at += D) {
    const length = Math.hypot(...rows.subarray(at, at + D));
    for (let k = at; k < at + D; k++) rows[k]! /= length;
  }
  return rows;
}

/** The loss of the whole batch in float64, from its definition. */
function referenceLoss({ B, D }: Batch, image: ArrayLike<number>, text: ArrayLike<number>, logitScale: number): number {
  const A = referenceLogits(B, D, image, text, logitScale);
  let sum = 0;
  for (let i = 0; i < B; i++) {
    const row = A[i]!;
    const column = A.map((other) => other[i]!);
    sum += logSumExp(row) + logSumExp(column) - 2 * row[i]!;
  }
  return sum / (2 * B);
}

function referenceLogits(B: number, D: number, image: ArrayLike<number>, text: ArrayLike<number>, logitScale: number) {
  const scale = Math.exp(logitScale);
  return Array.from({ length: B }, (_, i) =>
    Array.from({ length: B }, (_, j) => {
      let cosine = 0;
      for (let k = 0; k < D; k++) cosine += image[i * D + k]! * text[j * D + k]!;
      return scale * cosine;
    }),
  );
}

function logSumExp(values: number[]): number {
  const max = Math.max(...values);
  return max + Math.log(values.reduce((sum, x) => sum + Math.exp(x - max), 0));
}

/** Loss and gradients of the whole batch in float64, by the derivative of the softmaxes. */
function reference(of: Batch): Gradients {
  const { B, D, image, text, logitScale } = of;
  const scale = Math.exp(logitScale);
  const A = referenceLogits(B, D, image, text, logitScale);
  const rowLse = A.map(logSumExp);
  const columnLse = A.map((_, j) => logSumExp(A.map((row) => row[j]!)));
  const dImage = new Float64Array(B * D);
  const dText = new Float64Array(B * D);
  let dLogitScale = 0;
  let hits = 0;
  for (let i = 0; i < B; i++) {
    if (A[i]!.every((logit, j) => j === i || logit < A[i]![i]!)) hits++;
    for (let j = 0; j < B; j++) {
      const logit = A[i]![j]!;
      const g = (Math.exp(logit - rowLse[i]!) + Math.exp(logit - columnLse[j]!) - (i === j ? 2 : 0)) / (2 * B);
      dLogitScale += g * logit;
      for (let k = 0; k < D; k++) {
        dImage[i * D + k]! += scale * g * text[j * D + k]!;
        dText[j * D + k]! += scale * g * image[i * D + k]!;
      }
    }
  }
  return { loss: referenceLoss(of, image, text, logitScale), accuracy: hits / B, dImage, dText, dLogitScale };
}

/** Every rank's part, put together. */
async function distributed(
  engine: Engine,
  { B, D, image, text, logitScale }: Batch,
  W: number,
  tiles: Pick<ContrastiveLossOptions, 'tileRows' | 'tileColumns'> = {},
): Promise<Gradients & { losses: number[] }> {
  const b = B / W;
  const allocated = (values: Float32Array) => {
    const memory = engine.allocate('float32', values.length);
    memory.set(values);
    return memory;
  };
  const imageEmb_BD = allocated(image);
  const textEmb_BD = allocated(text);
  const dImage = engine.allocate('float32', B * D);
  const dText = engine.allocate('float32', B * D);
  const ranks = await Promise.all(
    referenceGroups(W).map(async (group) => {
      const loss = await compileContrastiveLoss(engine, { localRows: b, globalRows: B, dimension: D, ...tiles });
      const slice = [group.rank * b * D, (group.rank + 1) * b * D] as const;
      const outputs = { dImage_bD: dImage.subarray(...slice), dText_bD: dText.subarray(...slice) };
      const result = await loss.run({ imageEmb_BD, textEmb_BD, logitScale, group }, outputs);
      await loss.dispose();
      return result;
    }),
  );
  return {
    loss: ranks[0]!.loss,
    losses: ranks.map((rank) => rank.loss),
    accuracy: ranks[0]!.accuracy,
    dLogitScale: ranks.reduce((sum, rank) => sum + rank.dLogitScale, 0),
    dImage,
    dText,
  };
}

/** Relative to the largest value of `expected`, or to `least`: single gradients are differences of far larger numbers. */
function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>, least = 0): number {
  let error = 0;
  let largest = least;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference <= error)) error = difference;
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return error / largest;
}

function expectEqual(actual: Gradients, expected: Gradients, tolerance: number, least = 0): void {
  expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(tolerance * Math.max(1, expected.loss));
  expect(largestError(actual.dImage, expected.dImage, least)).toBeLessThan(tolerance);
  expect(largestError(actual.dText, expected.dText, least)).toBeLessThan(tolerance);
  expect(Math.abs(actual.dLogitScale - expected.dLogitScale)).toBeLessThan(
    tolerance * Math.max(1, Math.abs(expected.dLogitScale)),
  );
  expect(actual.accuracy).toBeCloseTo(expected.accuracy, 10);
}

describe('the reference', () => {
  it('agrees with finite differences of the loss in float64', () => {
    const of = batch(6, 5, 1.7);
    const { dImage, dText, dLogitScale } = reference(of);
    const h = 1e-5;
    const slope = (at: (by: number) => number) => (at(h) - at(-h)) / (2 * h);
    const moved = (values: Float32Array, index: number, by: number) =>
      Float64Array.from(values, (x, i) => (i === index ? x + by : x));
    for (let i = 0; i < of.image.length; i++) {
      const image = slope((by) => referenceLoss(of, moved(of.image, i, by), of.text, of.logitScale));
      const text = slope((by) => referenceLoss(of, of.image, moved(of.text, i, by), of.logitScale));
      expect(Math.abs(image - dImage[i]!)).toBeLessThan(1e-9);
      expect(Math.abs(text - dText[i]!)).toBeLessThan(1e-9);
    }
    const scale = slope((by) => referenceLoss(of, of.image, of.text, of.logitScale + by));
    expect(Math.abs(scale - dLogitScale)).toBeLessThan(1e-9);
  });
});

describe.each(['onnxruntime', 'cpu'] as const)('the contrastive loss on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: name, threads: 2 });
  });
  afterAll(() => engine.close());

  it.each([
    { W: 1, B: 12, D: 8 },
    { W: 2, B: 12, D: 8 },
    { W: 4, B: 12, D: 8 },
    { W: 2, B: 2, D: 1 },
    { W: 4, B: 64, D: 33 },
    { W: 2, B: 96, D: 128 },
  ])('equals the whole-batch reference: $W ranks, batch $B, dimension $D', async ({ W, B, D }) => {
    for (const scale of [1, 1 / 0.07, 100]) {
      const of = batch(B, D, Math.log(scale));
      expectEqual(await distributed(engine, of, W), reference(of), scale === 100 ? 2e-5 : 3e-6);
    }
  });

  it.each([
    { tileRows: 1, tileColumns: 1 },
    { tileRows: 5, tileColumns: 7 },
    { tileRows: 24, tileColumns: 5 },
    { tileRows: 4, tileColumns: 24 },
    { tileRows: 100, tileColumns: 13 },
  ])('is the same in tiles of $tileRows x $tileColumns', async (tiles) => {
    for (const scale of [1 / 0.07, 100]) {
      const of = batch(24, 16, Math.log(scale));
      for (const W of [1, 2]) {
        expectEqual(await distributed(engine, of, W, tiles), reference(of), scale === 100 ? 2e-5 : 3e-6);
      }
    }
  });

  it('is zero, with zero gradients, for a batch of one', async () => {
    const of = batch(1, 3, Math.log(100));
    expectEqual(await distributed(engine, of, 1), reference(of), 2e-5, 100);
  });

  it('gives the same loss on every rank, and bitwise the same again', async () => {
    const of = batch(32, 16, Math.log(30));
    const first = await distributed(engine, of, 4, { tileRows: 3, tileColumns: 10 });
    const second = await distributed(engine, of, 4, { tileRows: 3, tileColumns: 10 });
    expect(new Set([...first.losses, ...second.losses]).size).toBe(1);
    expect(second.dLogitScale).toBe(first.dLogitScale);
    expectBitwise(second.dImage as Float32Array, first.dImage as Float32Array);
    expectBitwise(second.dText as Float32Array, first.dText as Float32Array);
  });

  it('stays exact where single logits differ by hundreds', async () => {
    // Opposite rows: logits are +-100, so a naive exponential overflows and every wrong choice costs 200.
    const D = 4;
    const image = unitRows(formulaValues('opposite', 6 * D), D);
    const of: Batch = { B: 6, D, image, text: image.map((x) => -x), logitScale: Math.log(100) };
    const result = await distributed(engine, of, 2, { tileColumns: 4 });
    expectEqual(result, reference(of), 2e-5);
    expect(result.loss).toBeGreaterThan(50);
  });

  it('counts k equal best texts as 1/k of a hit', async () => {
    const one = unitRows(formulaValues('collapsed', 16), 16);
    const same = Float32Array.from({ length: 8 * 16 }, (_, i) => one[i % 16]!);
    const collapsed = await distributed(engine, { B: 8, D: 16, image: same, text: same, logitScale: 3 }, 2);
    expect(collapsed.accuracy).toBeCloseTo(1 / 8, 10);
    expect(collapsed.loss).toBeCloseTo(Math.log(8), 5);
  });

  it('gives NaN for embeddings with NaN', async () => {
    const of = batch(8, 4, 1);
    of.image[5] = Number.NaN;
    expect((await distributed(engine, of, 2)).loss).toBeNaN();
  });

  it('stops at an aborted signal', async () => {
    const loss = await compileContrastiveLoss(engine, { localRows: 4, globalRows: 4, dimension: 2 });
    const { image, text } = batch(4, 2, 1);
    const outputs = { dImage_bD: new Float32Array(8), dText_bD: new Float32Array(8) };
    const inputs = { imageEmb_BD: image, textEmb_BD: text, logitScale: 1, group: referenceGroups(1)[0]! };
    const reason = new Error('enough');
    await expect(loss.run({ ...inputs, signal: AbortSignal.abort(reason) }, outputs)).rejects.toBe(reason);
    await loss.dispose();
  });
});

it('gives gradients of parameters that add up over ranks to those of the whole batch', async () => {
  // An encoder of one matrix, image_BD = x_BE · w_ED: each rank has x_rᵀ · dImage_r, and the sum is the gradient by w.
  const [W, B, E, D] = [4, 16, 3, 5];
  const engine = await openEngine({ engine: 'cpu' });
  const x = formulaValues('x', B * E);
  const w = Float64Array.from(formulaValues('w', E * D));
  const encoded = (w: Float64Array) =>
    Float64Array.from({ length: B * D }, (_, at) => {
      let sum = 0;
      for (let e = 0; e < E; e++) sum += x[Math.floor(at / D) * E + e]! * w[e * D + (at % D)]!;
      return sum;
    });
  const of: Batch = { B, D, image: Float32Array.from(encoded(w)), text: batch(B, D, 1).text, logitScale: 1 };
  const { dImage } = await distributed(engine, of, W);
  const b = B / W;
  for (let at = 0; at < w.length; at++) {
    let summed = 0;
    for (let rank = 0; rank < W; rank++) {
      for (let i = rank * b; i < (rank + 1) * b; i++) {
        summed += x[i * E + Math.floor(at / D)]! * dImage[i * D + (at % D)]!;
      }
    }
    const moved = (by: number) => encoded(w.map((value, i) => (i === at ? value + by : value)));
    const loss = (by: number) => referenceLoss(of, moved(by), of.text, of.logitScale);
    expect(Math.abs(summed - (loss(1e-5) - loss(-1e-5)) / 2e-5)).toBeLessThan(1e-6);
  }
  await engine.close();
});

it('equals the gradients of the definition by automatic differentiation', async () => {
  const engine = await openEngine({ engine: 'cpu' });
  const of = batch(16, 8, Math.log(20));
  const program = await engine.compile(
    ({ image, text, logitScale }) => {
      const definition = (image: unknown, text: unknown, logitScale: unknown) => {
        const A = tf.mul(tf.matMul(image as never, text as never, false, true), tf.exp(logitScale as never));
        const crossEntropy = (logits: typeof A) =>
          tf.neg(tf.mean(tf.sum(tf.mul(tf.eye(16), tf.logSoftmax(logits)), 1)));
        return tf.mul(0.5, tf.add(crossEntropy(A), crossEntropy(tf.transpose(A))));
      };
      const { value, grads } = tf.valueAndGrads(definition as never)([image!, text!, logitScale!]);
      return { loss: value, dImage: grads[0]!, dText: grads[1]!, dLogitScale: grads[2]! };
    },
    { image: { shape: [16, 8] }, text: { shape: [16, 8] }, logitScale: { shape: [] } },
    { name: 'definition' },
  );
  const by = await program.run({ image: of.image, text: of.text, logitScale: Float32Array.of(of.logitScale) });
  const tiled = await distributed(engine, of, 2, { tileRows: 3, tileColumns: 5 });
  expect(tiled.loss).toBeCloseTo(by.loss![0]!, 5);
  expect(tiled.dLogitScale).toBeCloseTo(by.dLogitScale![0]!, 5);
  expect(largestError(tiled.dImage, by.dImage!)).toBeLessThan(3e-6);
  expect(largestError(tiled.dText, by.dText!)).toBeLessThan(3e-6);
  await engine.close();
});
