import type { Group } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { compileContrastiveLoss } from '../compile-contrastive-loss.js';
import type { ContrastiveLossOptions } from '../contrastive-loss.js';
import type { LossAndGradients, WholeBatch, WholeOptions } from './whole-matrix.js';

/** Batches for tests, and the loss of one on several ranks in this process. */
export interface Batch extends WholeBatch {
  readonly image: Float32Array;
  readonly text: Float32Array;
}

/** Values in [-1, 1), the same for the same seed: mulberry32. */
function valuesOf(seed: number, count: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}

export function unitRows(values: Float32Array, D: number): Float32Array {
  const rows = values.slice();
  for (let at = 0; at < rows.length; at += D) {
    const length = Math.hypot(...rows.subarray(at, at + D));
    for (let k = at; k < at + D; k++) rows[k]! /= length;
  }
  return rows;
}

/** Rows of length 1; the texts resemble their images, more or less. */
export function batchOf(B: number, D: number, logitScale: number, { likeness = 0.3, seed = 1 } = {}): Batch {
  const image = valuesOf(seed, B * D);
  const noise = valuesOf(-seed, B * D);
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

/** The batch with a bias, with every third sample's key equal to another's, and with a teacher of another dimension. */
export function fullBatch(B: number, D: number, logitScale: number): Batch & Required<WholeBatch> {
  const teacher = batchOf(B, D + 3, Math.log(25), { likeness: 0.6, seed: 2 });
  return {
    ...batchOf(B, D, logitScale),
    logitBias: -2.5,
    keys: Array.from({ length: B }, (_, i) => (i % 3 === 2 ? 1000 + (i % 2) : i)),
    teacher,
  };
}

/** What a run on W ranks adds to its gradients. */
export interface Distributed extends LossAndGradients {
  readonly losses: readonly number[];
  readonly parts: { contrastive: number; distillation: number } | undefined;
}

/** Every rank's part, put together. */
export async function onRanks(
  engine: Engine,
  groups: readonly Group[],
  batch: Batch,
  { type = 'clip', distill, labelSmoothing }: Partial<WholeOptions> = {},
  tiles: { tileRows?: number; tileColumns?: number } = {},
): Promise<Distributed> {
  const { B, D, image, text, logitScale, logitBias, keys, teacher } = batch;
  const b = B / groups.length;
  const allocated = (values: ArrayLike<number>) => {
    const buffer = engine.allocate('float32', values.length);
    buffer.set(values);
    return buffer;
  };
  const common = { localRows: b, globalRows: B, dimension: D, maskDuplicates: keys !== undefined, ...tiles };
  const options: ContrastiveLossOptions =
    type === 'siglip'
      ? { type, ...common }
      : { type, ...common, labelSmoothing, distill: distill && { ...distill, dimension: teacher!.D } };
  const inputs = {
    imageEmb_BD: allocated(image),
    textEmb_BD: allocated(text),
    logitScale,
    logitBias,
    // Equal in one of two numbers is not equal.
    duplicateKeys_B2: keys && Int32Array.from(keys.flatMap((key) => [key >> 1, key & 1])),
    teacher: teacher && {
      imageEmb_BD: allocated(teacher.image),
      textEmb_BD: allocated(teacher.text),
      logitScale: teacher.logitScale,
    },
  };
  const results = await Promise.all(
    groups.map(async (group) => {
      const loss = await compileContrastiveLoss(engine, options);
      const dImage_bD = engine.allocate('float32', b * D);
      const dText_bD = engine.allocate('float32', b * D);
      const result = await loss.run({ ...inputs, group }, { dImage_bD, dText_bD });
      await loss.dispose();
      return { ...result, dImage_bD, dText_bD };
    }),
  );
  const joined = (part: (of: (typeof results)[0]) => Float32Array) => {
    const whole = new Float32Array(B * D);
    results.forEach((result, rank) => whole.set(part(result), rank * b * D));
    return whole;
  };
  const added = (part: (of: (typeof results)[0]) => number) => results.reduce((sum, result) => sum + part(result), 0);
  return {
    loss: results[0]!.loss,
    losses: results.map(({ loss }) => loss),
    parts: results[0]!.parts,
    accuracy: results[0]!.accuracy,
    dImage: joined(({ dImage_bD }) => dImage_bD),
    dText: joined(({ dText_bD }) => dText_bD),
    dLogitScale: added(({ dLogitScale }) => dLogitScale),
    dLogitBias: added(({ dLogitBias }) => dLogitBias),
  };
}
