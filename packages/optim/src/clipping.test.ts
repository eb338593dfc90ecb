import { readFileSync } from 'node:fs';
import { expectAllClose, formulaValues, referenceGroups } from '@clipyard/testkit';
import { describe, expect, it } from 'vitest';
import { clipScale, gradientNorm } from './clipping.js';

/** Stored values of torch.nn.utils.clip_grad_norm_, made by scripts/reference/make_optim_fixture.py. */
const { clipping } = JSON.parse(readFileSync(new URL('./fixtures/optim-torch.json', import.meta.url), 'utf8')) as {
  clipping: { maxNorm: number; norm: number; first: number[] }[];
};

const normOver = (W: number, values: Float32Array) =>
  Promise.all(
    referenceGroups(W).map((group) => {
      const length = values.length / W;
      return gradientNorm(values.subarray(group.rank * length, (group.rank + 1) * length), group);
    }),
  );

describe('gradientNorm and clipScale', () => {
  it.each(clipping)('clip to $maxNorm as PyTorch', async ({ maxNorm, norm, first }) => {
    const grad = formulaValues('clip.grad', 64);
    const [actual] = await normOver(1, grad);
    expect(Math.abs(actual! - norm)).toBeLessThan(1e-6 * norm);
    const scale = clipScale(actual!, maxNorm);
    expectAllClose(
      Array.from(grad.subarray(0, 8), (g) => g * scale),
      first,
      { rtol: 1e-6 },
    );
  });

  it.each([2, 4])('give every one of %i ranks the norm of the whole', async (W) => {
    const grad = formulaValues('clip.grad', 64);
    const [whole] = await normOver(1, grad);
    const norms = await normOver(W, grad);
    expect(new Set(norms).size).toBe(1);
    expect(Math.abs(norms[0]! - whole!)).toBeLessThan(1e-14);
  });

  it('add in four sums, element by element, whatever the length', async () => {
    const all = formulaValues('clip.grad', 64);
    for (let length = 0; length <= 27; length++) {
      const sums = [0, 0, 0, 0];
      const whole = length - (length % 4);
      all.subarray(0, length).forEach((v, i) => {
        sums[i < whole ? i % 4 : 0]! += v * v;
      });
      const [norm] = await normOver(1, all.subarray(0, length));
      expect(norm).toBe(Math.sqrt(sums[0]! + sums[1]! + (sums[2]! + sums[3]!)));
    }
  });

  it('do not overflow where float32 would', async () => {
    expect((await normOver(2, new Float32Array(4).fill(1e30)))[0]).toBeCloseTo(2e30, -25);
  });

  it('let NaN through', async () => {
    const [norm] = await normOver(1, Float32Array.of(1, Number.NaN));
    expect(norm).toBeNaN();
    expect(clipScale(norm!, 1)).toBeNaN();
  });
});
