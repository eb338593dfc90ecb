import { expect, test } from 'vitest';
import { bucketed, extended, toSeries } from './series.js';
import { smooth } from './smooth.js';

const points = (values: readonly number[]) => values.map((value, i) => ({ name: 'loss', step: i + 1, value }));

test('points become columns by step, the last of a step counts', () => {
  const [series] = toSeries([...points([3, 2]).reverse(), { name: 'loss', step: 2, value: 5 }]);
  expect(series).toEqual({ name: 'loss', step: [1, 2], mean: [3, 5], min: [3, 5], max: [3, 5] });
});

test('buckets keep the least and the greatest value', () => {
  const [series] = toSeries(points([1, 9, 2, 4, 0, 6]));
  expect(bucketed(series!, 3)).toEqual({
    name: 'loss',
    step: [2, 4, 6],
    mean: [5, 3, 3],
    min: [1, 2, 0],
    max: [9, 4, 6],
  });
  expect(bucketed(series!, 6)).toBe(series);
});

test('live values go on after the stored ones, and replace those of an attempt that went back', () => {
  const [series] = toSeries(points([4, 3, 2]));
  expect(extended(series, 'loss', [[4, 1]])).toMatchObject({ step: [1, 2, 3, 4], mean: [4, 3, 2, 1] });
  expect(extended(series, 'loss', [[2, 7]])).toMatchObject({ step: [1, 2], mean: [4, 7] });
  expect(extended(undefined, 'loss', [[1, 5]])).toMatchObject({ step: [1], min: [5], max: [5] });
});

test('smoothing keeps a constant and the length, and without a past changes nothing', () => {
  expect(smooth([2, 2, 2], 0.9)).toEqual([2, 2, 2].map((value) => expect.closeTo(value)));
  expect(smooth([1, 5], 0)).toEqual([1, 5]);
  // (0.5 * 0.5 * 1 + 0.5 * 3) / (1 - 0.5^2)
  expect(smooth([1, 3], 0.5)[1]).toBeCloseTo(1.75 / 0.75);
});
