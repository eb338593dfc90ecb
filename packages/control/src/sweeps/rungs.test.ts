import { expect, it } from 'vitest';
import { rungBudgets } from './rungs.js';

it('has rungs eta apart from the first on, the last one being the whole duration', () => {
  const rungs = (first: number, whole: number, eta = 3) =>
    rungBudgets({ epochs: whole }, { first: { epochs: first }, eta }).map((budget) => Object.values(budget)[0]);
  expect(rungs(1, 27)).toEqual([1, 3, 9, 27]);
  expect(rungs(1, 32)).toEqual([1, 3, 9, 32]);
  expect(rungs(1, 3)).toEqual([1, 3]);
  expect(rungs(0.5, 4, 2)).toEqual([0.5, 1, 2, 4]);
  expect(rungBudgets({ steps: 10 }, null)).toEqual([{ steps: 10 }]);
});

it('refuses a first rung in another unit, or without room for a second', () => {
  const field = (first: { steps: number } | { epochs: number }) => {
    try {
      rungBudgets({ steps: 100 }, { first, eta: 4 });
    } catch (error) {
      return error;
    }
    return undefined;
  };
  for (const first of [{ epochs: 1 }, { steps: 26 }]) {
    const problem = { path: 'halving.first', value: first, remedy: expect.any(String) };
    expect(field(first)).toMatchObject({ code: 'sweep_invalid', fields: [problem] });
  }
});
