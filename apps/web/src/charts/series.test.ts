import { expect, test } from 'vitest';
import { extended, type Series } from './series.js';
import { smooth } from './smooth.js';

test('live values go on after the stored ones, and replace those of an attempt that went back', () => {
  const values = [4, 3, 2];
  const series: Series = { name: 'loss', step: [1, 2, 3], mean: values, min: values, max: values };
  expect(extended(series, 'loss', [[4, 1]])).toMatchObject({ step: [1, 2, 3, 4], mean: [4, 3, 2, 1] });
  expect(extended(series, 'loss', [[2, 7]])).toMatchObject({ step: [1, 2], mean: [4, 7] });
  expect(extended(undefined, 'loss', [[1, 5]])).toMatchObject({ step: [1], min: [5], max: [5] });
  expect(extended(series, 'loss', [])).toBe(series);
});

test('smoothing keeps a constant and the length, and without a past changes nothing', () => {
  expect(smooth([2, 2, 2], 0.9)).toEqual([2, 2, 2].map((value) => expect.closeTo(value)));
  expect(smooth([1, 5], 0)).toEqual([1, 5]);
  // (0.5 * 0.5 * 1 + 0.5 * 3) / (1 - 0.5^2)
  expect(smooth([1, 3], 0.5)[1]).toBeCloseTo(1.75 / 0.75);
});
