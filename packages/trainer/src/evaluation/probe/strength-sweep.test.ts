import { expect, it } from 'vitest';
import { sweepStrength } from './strength-sweep.js';

it('finds the peak to an eighth of a decade, by at most 15 fits, from strong to weak', async () => {
  for (const peak of [-6, -5.3, -1.07, 0, 0.375, 3.9, 6]) {
    const asked: number[] = [];
    const { best, tried } = await sweepStrength(async (strength) => {
      asked.push(Math.log10(strength));
      return { accuracy: 1 - Math.abs(Math.log10(strength) - peak) / 100, crossEntropy: 0 };
    });
    expect(Math.abs(Math.log10(best.strength) - peak)).toBeLessThanOrEqual(1 / 16 + 1e-9);
    expect(asked.length).toBeLessThanOrEqual(15);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.slice(0, 3)).toEqual([6, 4, 2]);
    expect(tried.map(({ strength }) => strength)).toEqual(
      [...tried.map(({ strength }) => strength)].sort((a, b) => a - b),
    );
  }
});

it('takes the lower cross-entropy where accuracies are equal', async () => {
  const { best } = await sweepStrength(async (strength) => ({
    accuracy: 0.5,
    crossEntropy: (Math.log10(strength) - 2.5) ** 2,
  }));
  expect(Math.log10(best.strength)).toBeCloseTo(2.5, 6);
});
