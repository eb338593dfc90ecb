import { expect, test } from 'vitest';
import { phaseShares, stackedPhases } from './phases.js';

const series = new Map(
  Object.entries({ 'time/step_ms': [100, 200], 'time/data_ms': [10, 30], 'time/encode_ms': [50, 90] }).map(
    ([name, values]) => [name, { name, step: [1, 4], mean: values, min: values, max: values }],
  ),
);

test('a mean counts each report for the steps that it covers, and the rest is other', () => {
  expect(phaseShares(series)).toEqual([
    { phase: 'data', ms: 25, share: 25 / 175 },
    { phase: 'encode', ms: 80, share: 80 / 175 },
    { phase: 'other', ms: 70, share: 70 / 175 },
  ]);
});

test('phases are stacked in their order', () => {
  expect(stackedPhases(series)).toEqual({
    steps: [1, 4],
    layers: [
      [10, 30],
      [60, 120],
    ],
    names: ['data', 'encode'],
  });
});

test('without step times there is nothing to tell', () => expect(phaseShares(new Map())).toEqual([]));
