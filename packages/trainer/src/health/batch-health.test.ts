import type { Group } from '@clipyard/contracts';
import { FlatLayout } from '@clipyard/tensor';
import { referenceGroups } from '@clipyard/testkit';
import { describe, expect, it } from 'vitest';
import type { StepBatch } from '../step/micro-batches.js';
import { planRun } from '../step/run-plan.js';
import { BatchHealth } from './batch-health.js';
import { effectiveRank } from './effective-rank.js';
import { symmetricEigenvalues } from './symmetric-eigenvalues.js';

const NEVER = new AbortController().signal;
/** Numbers in (-1, 1), always the same. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Rows of length 1, [B,D]; those of `same` are the same. */
function embeddings(B: number, D: number, seed: number): Float32Array {
  const next = random(seed);
  const all = new Float32Array(B * D);
  for (let row = 0; row < B; row++) {
    const values = Array.from({ length: D }, next);
    const norm = Math.hypot(...values);
    all.set(
      values.map((value) => value / norm),
      row * D,
    );
  }
  return all;
}

const layout = new FlatLayout([
  { name: 'visual.proj', shape: [7, 5] },
  { name: 'token_embedding.weight', shape: [11, 3] },
  { name: 'visual.class_embedding', shape: [5] },
  { name: 'logit_scale', shape: [] },
]);

interface Problem {
  readonly image: Float32Array;
  readonly text: Float32Array;
  readonly tokens: Int32Array;
  readonly pixels: Uint8Array;
  readonly logitScale: number;
}

/** Of each rank. */
async function measure(W: number, { image, text, tokens, pixels, logitScale }: Problem, B: number, D: number) {
  return await Promise.all(
    referenceGroups(W).map(async (group: Group) => {
      const plan = planRun({ batch: { global: B }, duration: { steps: 1 } }, 1000, {
        rank: group.rank,
        worldSize: W,
        cutsShare: false,
      });
      const slice = layout.shard(group.rank, W);
      const gradients = Float32Array.from({ length: layout.paddedTotal(W) }, (_, i) => Math.sin(i));
      const state = { layout, slice, sliceGradients: gradients.subarray(slice.start, slice.end) };
      const part = <T extends Int32Array | Uint8Array>(all: T): T =>
        all.subarray((group.rank * all.length) / W, ((group.rank + 1) * all.length) / W) as T;
      const batch: StepBatch = { tokens: part(tokens), pixels: part(pixels) };
      const health = new BatchHealth({ group, state }, { plan, dimension: D, maxLogitScale: 100 });
      return await health.measure({ embeddings: { image, text }, batch, logitScale, gradientScale: 4 }, NEVER);
    }),
  );
}

/** The slow reference: whole matrices in float64, all rows. */
function reference({ image, text, logitScale }: Problem, B: number, D: number): Record<string, number> {
  const row = (of: Float32Array, i: number): number[] => [...of.subarray(i * D, (i + 1) * D)];
  const rows = (of: Float32Array): number[][] => Array.from({ length: B }, (_, i) => row(of, i));
  const [x, y] = [rows(image), rows(text)];
  const inner = (a: number[], b: number[]): number => a.reduce((sum, value, k) => sum + value * b[k]!, 0);
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const entropies = (a: number[][], b: number[][]): number =>
    mean(
      a.map((own) => {
        const exps = b.map((other) => Math.exp(Math.exp(logitScale) * inner(own, other)));
        const total = exps.reduce((sum, value) => sum + value, 0);
        return exps.reduce((sum, value) => sum - (value / total) * Math.log(value / total), 0);
      }),
    );
  const accuracy = (a: number[][], b: number[][]): number =>
    mean(a.map((own, i) => (b.every((other) => inner(own, other) <= inner(own, b[i]!)) ? 1 : 0)));
  const distance2 = (a: number[], b: number[]): number => a.reduce((sum, value, k) => sum + (value - b[k]!) ** 2, 0);
  const uniformity = (a: number[][]): number =>
    Math.log(
      mean(a.flatMap((own, i) => a.filter((_, j) => j !== i).map((other) => Math.exp(-2 * distance2(own, other))))),
    );
  const centre = (a: number[][]): number[] => Array.from({ length: D }, (_, k) => mean(a.map((own) => own[k]!)));
  const gradient = (prefix: boolean): number =>
    Math.sqrt(
      layout.tensors
        .filter(({ name }) => name !== 'logit_scale' && name.startsWith('visual.') === prefix)
        .flatMap(({ offset, size }) => Array.from({ length: size }, (_, i) => Math.fround(Math.sin(offset + i)) ** 2))
        .reduce((sum, value) => sum + value, 0),
    ) / 4;
  return {
    'health/image_to_text/entropy': entropies(x, y),
    'health/text_to_image/entropy': entropies(y, x),
    'health/image_to_text/accuracy': accuracy(x, y),
    'health/text_to_image/accuracy': accuracy(y, x),
    'health/alignment': mean(x.map((own, i) => distance2(own, y[i]!))),
    'health/image/uniformity': uniformity(x),
    'health/text/uniformity': uniformity(y),
    'health/modality_gap': Math.hypot(...centre(x).map((value, k) => value - centre(y)[k]!)),
    'health/image/grad_norm': gradient(true),
    'health/text/grad_norm': gradient(false),
  };
}

function problem(B: number, D: number): Problem {
  const image = embeddings(B, D, 1);
  const text = embeddings(B, D, 2);
  // Some pairs agree.
  for (let row = 0; row < B; row += 3) text.set(image.subarray(row * D, (row + 1) * D), row * D);
  const tokens = Int32Array.from({ length: B * 2 }, (_, i) => (i < 8 ? 7 : i));
  const pixels = Uint8Array.from({ length: B * 3 }, (_, i) => (i < 6 ? 1 : i % 251));
  return { image, text, tokens, pixels, logitScale: Math.log(20) };
}

describe('the health of a batch', () => {
  it('is what whole matrices in float64 say, on 1, 2 and 4 ranks', async () => {
    const [B, D] = [24, 10];
    const given = problem(B, D);
    const expected = reference(given, B, D);
    const [alone] = await measure(1, given, B, D);
    for (const [name, value] of Object.entries(expected)) expect(alone![name], name).toBeCloseTo(value, 5);
    expect(alone).toMatchObject({
      'health/scale_at_clamp': 0,
      'health/duplicates/caption': 4 / 24,
      'health/duplicates/image': 2 / 24,
    });
    for (const W of [2, 4]) {
      const ranks = await measure(W, given, B, D);
      for (const values of ranks) {
        expect(values).toEqual(ranks[0]);
        for (const [name, value] of Object.entries(values)) expect(value, name).toBeCloseTo(alone![name]!, 12);
      }
    }
  });

  it('tells of a batch whose embeddings have collapsed, and of a scale at its bound', async () => {
    const [B, D] = [16, 8];
    const image = new Float32Array(B * D);
    for (let row = 0; row < B; row++) image[row * D] = 1;
    const [values] = await measure(
      2,
      { ...problem(B, D), image, text: image, logitScale: Math.fround(Math.log(100)) },
      B,
      D,
    );
    expect(values!['health/image_to_text/entropy']).toBeCloseTo(Math.log(B), 12);
    expect(values!['health/text_to_image/accuracy']).toBeCloseTo(1 / B, 12);
    expect(values!['health/image/uniformity']).toBeCloseTo(0, 12);
    expect(values!['health/text/rank']).toBeCloseTo(1, 6);
    expect(values).toMatchObject({ 'health/scale_at_clamp': 1, 'health/alignment': 0, 'health/modality_gap': 0 });
  });
});

describe('the effective rank', () => {
  it('is the number of equal singular values, of rows and of columns alike', () => {
    const unit = (D: number, k: number): Float32Array => Float32Array.from({ length: D }, (_, i) => (i === k ? 1 : 0));
    expect(effectiveRank([0, 1, 2].map((k) => unit(8, k)))).toBeCloseTo(3, 12);
    expect(effectiveRank([0, 1, 0, 1, 0, 1].map((k) => unit(4, k)))).toBeCloseTo(2, 6);
  });

  it('is 1 of rows that differ by next to nothing', () => {
    const next = random(5);
    for (const size of [1e-3, 1e-7, 1e-12, 1e-30]) {
      const rows = Array.from({ length: 90 }, () =>
        Float32Array.from({ length: 64 }, (_, k) => (k === 3 ? 1 : size * next())),
      );
      const rank = effectiveRank(rows);
      expect(rank).toBeGreaterThanOrEqual(1);
      expect(rank).toBeLessThan(1.5);
    }
  });

  it('comes from eigenvalues that have the trace, the squares and the roots of their matrix', () => {
    const next = random(3);
    for (const n of [1, 2, 3, 17, 60]) {
      const half = Float64Array.from({ length: n * n }, next);
      const matrix = Float64Array.from({ length: n * n }, (_, i) => half[i]! + half[(i % n) * n + Math.floor(i / n)]!);
      const values = symmetricEigenvalues(matrix.slice(), n);
      const sum = (of: Iterable<number>): number => [...of].reduce((total, value) => total + value, 0);
      expect(sum(values)).toBeCloseTo(sum(Array.from({ length: n }, (_, i) => matrix[i * n + i]!)), 9);
      expect(sum(values.map((value) => value ** 2))).toBeCloseTo(sum(matrix.map((value) => value ** 2)), 8);
    }
    // 2 on the diagonal and -1 beside it: 2 - 2 cos(k pi / (n + 1)).
    const n = 40;
    const chain = Float64Array.from({ length: n * n }, (_, i) => {
      const apart = Math.abs(Math.floor(i / n) - (i % n));
      return apart === 0 ? 2 : apart === 1 ? -1 : 0;
    });
    const values = symmetricEigenvalues(chain, n);
    values.forEach((value, k) => expect(value).toBeCloseTo(2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)), 12));
  });
});
