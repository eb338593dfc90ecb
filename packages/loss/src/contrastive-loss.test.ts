import { readFileSync } from 'node:fs';
import { type Engine, openEngine, tf } from '@clipyard/engine';
import { builtTensorFlow, expectBitwise, formulaValues, referenceGroups } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileContrastiveLoss } from './compile-contrastive-loss.js';
import { type Batch, batchOf, type Distributed, fullBatch, onRanks, unitRows } from './reference/batches.js';
import {
  type LossAndGradients,
  type WholeBatch,
  type WholeOptions,
  wholeLoss,
  wholeLossAndGradients,
} from './reference/whole-matrix.js';

type Rest = Parameters<typeof onRanks> extends [unknown, unknown, unknown, ...infer R] ? R : never;
const distributed = (engine: Engine, of: Batch, W: number, ...rest: Rest): Promise<Distributed> =>
  onRanks(engine, referenceGroups(W), of, ...rest);

/** Legend: W ranks, B global rows, D embedding dimension. */
interface Variant {
  readonly name: string;
  readonly options: WholeOptions;
  readonly masked?: boolean;
}

const CLIP = { type: 'clip' } as const;
const SIGLIP = { type: 'siglip' } as const;
const SMOOTHED = { ...CLIP, labelSmoothing: 0.2 };
const DISTILLED = { ...CLIP, distill: { weight: 1, temperature: 1 } };
const WARM = { ...CLIP, distill: { weight: 0.7, temperature: 3 } };

const VARIANTS: readonly Variant[] = [
  { name: 'clip', options: CLIP },
  { name: 'clip, masked', options: CLIP, masked: true },
  { name: 'clip, smoothed', options: SMOOTHED },
  { name: 'clip, smoothed and masked', options: SMOOTHED, masked: true },
  { name: 'clip, distilled', options: DISTILLED },
  { name: 'clip, all together', options: { ...SMOOTHED, ...WARM }, masked: true },
  { name: 'siglip', options: SIGLIP },
  { name: 'siglip, masked', options: SIGLIP, masked: true },
];

function variantBatch({ options, masked }: Variant, B: number, D: number, logitScale: number): Batch {
  const { keys, teacher, logitBias, ...batch } = fullBatch(B, D, logitScale);
  return {
    ...batch,
    ...(options.type === 'siglip' ? { logitBias } : {}),
    ...(masked ? { keys } : {}),
    ...(options.distill ? { teacher } : {}),
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

/** Weights of pairs are to be exact to `tolerance`; gradients are sums of them, times s/B or times logits, of s at most. */
function expectEqual(actual: LossAndGradients, of: Batch, options: WholeOptions): void {
  const expected = wholeLossAndGradients(of, options);
  const scale = Math.exp(of.logitScale);
  const tolerance = toleranceAt(scale, options);
  expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(tolerance * Math.max(1, expected.loss));
  expect(largestError(actual.dImage, expected.dImage, scale / of.B), 'dImage').toBeLessThan(tolerance);
  expect(largestError(actual.dText, expected.dText, scale / of.B), 'dText').toBeLessThan(tolerance);
  expect(Math.abs(actual.dLogitScale - expected.dLogitScale), 'dLogitScale').toBeLessThan(
    tolerance * Math.max(1, scale),
  );
  expect(Math.abs(actual.dLogitBias - expected.dLogitBias), 'dLogitBias').toBeLessThan(tolerance);
  expect(actual.accuracy).toBeCloseTo(expected.accuracy, 10);
}

/** float32 rounds a logit of 100 to 4e-6 at best; with a teacher there are two of them, and more to subtract. */
const toleranceAt = (scale: number, { distill }: WholeOptions): number =>
  scale < 99 ? 3e-6 : distill === undefined ? 2e-5 : 6e-5;

describe.each(VARIANTS)('the reference of $name', (variant) => {
  it('agrees with finite differences of the loss in float64', () => {
    const of = variantBatch(variant, 6, 5, 1.7);
    const { options } = variant;
    const expected = wholeLossAndGradients(of, options);
    const h = 1e-5;
    const expectSlope = (at: (by: number) => Partial<WholeBatch>, gradient: number) => {
      const [after, before] = [h, -h].map((by) => wholeLoss({ ...of, ...at(by) }, options));
      expect(Math.abs((after! - before!) / (2 * h) - gradient)).toBeLessThan(2e-9);
    };
    const moved = (values: Float32Array, index: number, by: number) =>
      Float64Array.from(values, (x, i) => (i === index ? x + by : x));
    for (let i = 0; i < of.image.length; i++) {
      expectSlope((by) => ({ image: moved(of.image, i, by) }), expected.dImage[i]!);
      expectSlope((by) => ({ text: moved(of.text, i, by) }), expected.dText[i]!);
    }
    expectSlope((by) => ({ logitScale: of.logitScale + by }), expected.dLogitScale);
    expectSlope((by) => ({ logitBias: (of.logitBias ?? 0) + by }), expected.dLogitBias);
  });
});

interface FixtureCase extends WholeOptions {
  readonly name: string;
  readonly logitScale: number;
  readonly logitBias?: number;
  readonly masked: boolean;
  readonly loss: number;
  readonly dImage: number[];
  readonly dText: number[];
  readonly dLogitScale: number;
  readonly dLogitBias: number;
}

// Made by scripts/reference/make_loss_fixture.py with PyTorch and open_clip, whose versions stand in the file.
const fixture: { batch: number; dimension: number; keys: number[]; teacherLogitScale: number; cases: FixtureCase[] } =
  JSON.parse(readFileSync(new URL('./fixtures/loss-torch.json', import.meta.url), 'utf8'));

function fixtureBatch(of: FixtureCase): Batch {
  const { batch: B, dimension: D, keys, teacherLogitScale } = fixture;
  const values = (name: string) => formulaValues(name, B * D);
  return {
    B,
    D,
    image: values('loss.image'),
    text: values('loss.text'),
    logitScale: of.logitScale,
    ...(of.logitBias === undefined ? {} : { logitBias: of.logitBias }),
    ...(of.masked ? { keys } : {}),
    ...(of.distill === undefined
      ? {}
      : {
          teacher: {
            D,
            image: values('loss.teacher.image'),
            text: values('loss.teacher.text'),
            logitScale: teacherLogitScale,
          },
        }),
  };
}

it.each(fixture.cases)("the reference equals PyTorch's and open_clip's $name", (of) => {
  const actual = wholeLossAndGradients(fixtureBatch(of), of);
  // Stored as float32.
  expect(Math.abs(actual.loss - of.loss)).toBeLessThan(1e-7 * Math.max(1, of.loss));
  expect(largestError(actual.dImage, of.dImage)).toBeLessThan(1e-7);
  expect(largestError(actual.dText, of.dText)).toBeLessThan(1e-7);
  expect(Math.abs(actual.dLogitScale - of.dLogitScale)).toBeLessThan(1e-6);
  expect(Math.abs(actual.dLogitBias - of.dLogitBias)).toBeLessThan(1e-6);
});

const built = builtTensorFlow();
const ENGINES = ['onnxruntime', 'cpu', ...('missing' in built ? [] : ['tensorflow' as const])] as const;

describe.each(ENGINES)('on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: name, threads: 2, ...('missing' in built ? {} : built) });
  });
  afterAll(() => engine.close());

  describe.each(VARIANTS)('the loss $name', (variant) => {
    const { options } = variant;

    it.each([
      { W: 1, B: 12, D: 8 },
      { W: 2, B: 12, D: 8 },
      { W: 4, B: 12, D: 8 },
      { W: 2, B: 2, D: 1 },
      { W: 4, B: 64, D: 33 },
      { W: 2, B: 96, D: 128 },
    ])('equals the whole-batch reference: $W ranks, batch $B, dimension $D', async ({ W, B, D }) => {
      for (const scale of [1, 1 / 0.07, 100]) {
        const of = variantBatch(variant, B, D, Math.log(scale));
        expectEqual(await distributed(engine, of, W, options), of, options);
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
        const of = variantBatch(variant, 24, 16, Math.log(scale));
        for (const W of [1, 2]) {
          const tiled = await distributed(engine, of, W, options, tiles);
          expectEqual(tiled, of, options);
        }
      }
    });

    it('is right for a batch of one', async () => {
      const of = variantBatch(variant, 1, 3, Math.log(100));
      expectEqual(await distributed(engine, of, 1, options), of, options);
    });

    it('gives the same loss on every rank, and bitwise the same again', async () => {
      const of = variantBatch(variant, 32, 16, Math.log(30));
      const tiles = { tileRows: 3, tileColumns: 10 };
      const first = await distributed(engine, of, 4, options, tiles);
      const second = await distributed(engine, of, 4, options, tiles);
      expect(new Set([...first.losses, ...second.losses]).size).toBe(1);
      expect(second.dLogitScale).toBe(first.dLogitScale);
      expect(second.dLogitBias).toBe(first.dLogitBias);
      expectBitwise(second.dImage as Float32Array, first.dImage as Float32Array);
      expectBitwise(second.dText as Float32Array, first.dText as Float32Array);
    });

    it('stays exact where single logits differ by hundreds', async () => {
      // Opposite rows: logits are +-100, so a naive exponential overflows and every wrong choice costs 200.
      const D = 4;
      const image = unitRows(formulaValues('opposite', 6 * D), D);
      const of = { ...variantBatch(variant, 6, D, Math.log(100)), image, text: image.map((x) => -x) };
      const result = await distributed(engine, of, 2, options, { tileColumns: 4 });
      expectEqual(result, of, options);
      expect(result.loss).toBeGreaterThan(50);
    });

    it('gives NaN for embeddings with NaN', async () => {
      const of = variantBatch(variant, 8, 4, 1);
      of.image[5] = Number.NaN;
      expect((await distributed(engine, of, 2, options)).loss).toBeNaN();
    });
  });

  it.each([CLIP, SIGLIP])('counts k equal best texts as 1/k of a hit: $type', async (options) => {
    const one = unitRows(formulaValues('collapsed', 16), 16);
    const same = Float32Array.from({ length: 8 * 16 }, (_, i) => one[i % 16]!);
    const collapsed = await distributed(engine, { B: 8, D: 16, image: same, text: same, logitScale: 3 }, 2, options);
    expect(collapsed.accuracy).toBeCloseTo(1 / 8, 10);
    if (options.type === 'clip') expect(collapsed.loss).toBeCloseTo(Math.log(8), 5);
  });

  it('is zero, and every sample a hit, where all samples are duplicates of one another', async () => {
    const of = { ...batchOf(8, 4, 3), keys: Array.from({ length: 8 }, () => 7) };
    for (const tiles of [{}, { tileRows: 2, tileColumns: 3 }]) {
      const result = await distributed(engine, of, 2, CLIP, tiles);
      expect(result).toMatchObject({ loss: 0, accuracy: 1, dLogitScale: 0 });
      expect(result.dImage).toEqual(new Float32Array(32));
    }
  });

  it('adds up the parts of a distilled loss, and takes a teacher like the student for the least possible', async () => {
    const student = batchOf(12, 8, 2);
    const options = { ...CLIP, distill: { weight: 0.5, temperature: 2 } };
    const { loss, parts, dImage } = await distributed(engine, { ...student, teacher: student }, 2, options);
    expect(loss).toBe(parts!.contrastive + parts!.distillation);
    const alone = await distributed(engine, student, 2);
    expect(parts!.contrastive).toBeCloseTo(alone.loss, 6);
    expect(largestError(dImage, alone.dImage)).toBeLessThan(3e-6);
  });

  it("keeps the sums of SigLIP's first steps, where every pair is nearly sure to be a negative", async () => {
    const of = { ...batchOf(256, 4, Math.log(10)), logitBias: -10 };
    const { loss, dLogitBias } = await distributed(engine, of, 2, SIGLIP, { tileColumns: 50 });
    const expected = wholeLossAndGradients(of, SIGLIP);
    expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-6 * expected.loss);
    expect(Math.abs(dLogitBias - expected.dLogitBias)).toBeLessThan(1e-6);
    const without = { ...of, text: of.text.map((_, i) => (i % 4 === 0 ? 1 : 0)), image: new Float32Array(1024) };
    // All logits are 0: the loss is B·ln(1 + e^-10) and what the own pair has more.
    const plain = await distributed(engine, without, 2, SIGLIP, { tileColumns: 50 });
    expect(Math.abs(plain.loss / (256 * Math.log1p(Math.exp(-10)) + 10) - 1)).toBeLessThan(1e-6);
  });

  it.each([CLIP, SIGLIP])('stops at an aborted signal: $type', async ({ type }) => {
    const loss = await compileContrastiveLoss(engine, { type, localRows: 4, globalRows: 4, dimension: 2 });
    const { image, text } = batchOf(4, 2, 1);
    const outputs = { dImage_bD: new Float32Array(8), dText_bD: new Float32Array(8) };
    const inputs = { imageEmb_BD: image, textEmb_BD: text, logitScale: 1, group: referenceGroups(1)[0]! };
    const reason = new Error('enough');
    await expect(loss.run({ ...inputs, signal: AbortSignal.abort(reason) }, outputs)).rejects.toBe(reason);
    await loss.dispose();
  });
});

it.each([CLIP, SIGLIP])(
  'gives gradients of parameters that add up over ranks to those of the whole batch: $type',
  async (options) => {
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
    const of: Batch = { B, D, image: Float32Array.from(encoded(w)), text: batchOf(B, D, 1).text, logitScale: 1 };
    const { dImage } = await distributed(engine, of, W, options);
    const b = B / W;
    for (let at = 0; at < w.length; at++) {
      let summed = 0;
      for (let rank = 0; rank < W; rank++) {
        for (let i = rank * b; i < (rank + 1) * b; i++) {
          summed += x[i * E + Math.floor(at / D)]! * dImage[i * D + (at % D)]!;
        }
      }
      const moved = (by: number) => encoded(w.map((value, i) => (i === at ? value + by : value)));
      const loss = (by: number) => wholeLoss({ ...of, image: moved(by) }, options);
      expect(Math.abs(summed - (loss(1e-5) - loss(-1e-5)) / 2e-5)).toBeLessThan(2e-6);
    }
    await engine.close();
  },
);

it('equals the gradients of the definition by automatic differentiation', async () => {
  const engine = await openEngine({ engine: 'cpu' });
  const of = batchOf(16, 8, Math.log(20));
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
  const tiled = await distributed(engine, of, 2, CLIP, { tileRows: 3, tileColumns: 5 });
  expect(tiled.loss).toBeCloseTo(by.loss![0]!, 5);
  expect(tiled.dLogitScale).toBeCloseTo(by.dLogitScale![0]!, 5);
  expect(largestError(tiled.dImage, by.dImage!)).toBeLessThan(3e-6);
  expect(largestError(tiled.dText, by.dText!)).toBeLessThan(3e-6);
  await engine.close();
});
