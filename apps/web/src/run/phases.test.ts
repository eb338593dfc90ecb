import { expect, test } from 'vitest';
import { toSeries } from '../charts/series.js';
import { phaseShares, stackedPhases } from './phases.js';

const points = [
  { name: 'time/step_ms', step: 1, value: 100 },
  { name: 'time/data_ms', step: 1, value: 10 },
  { name: 'time/encode_ms', step: 1, value: 50 },
  { name: 'time/step_ms', step: 4, value: 200 },
  { name: 'time/data_ms', step: 4, value: 30 },
  { name: 'time/encode_ms', step: 4, value: 90 },
];
const series = new Map(toSeries(points).map((entry) => [entry.name, entry]));

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
