import type { Sweep } from '@clipyard/contracts';
import { expect, test } from 'vitest';
import { parallelLines } from './parallel-lines.js';

const sweep = {
  spec: {
    parameters: {
      'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2 },
      'loss.type': { type: 'choice', values: ['clip', 'siglip'] },
    },
    objective: { metric: 'loss', goal: 'min' },
  },
} as unknown as Sweep;

test('trials are lines over their values, rates on a logarithmic axis, to their objective', () => {
  const trial = (index: number, lr: number, type: string, objective: number | null) => ({
    index,
    values: { 'optimizer.lr': lr, 'loss.type': type },
    objective,
    current: null,
  });
  const { axes, lines } = parallelLines(sweep, [
    trial(0, 1e-4, 'clip', 3),
    trial(1, 1e-3, 'siglip', 2),
    trial(2, 1e-2, 'clip', 1),
    trial(3, 1e-2, 'clip', null),
  ]);
  expect(axes.map(({ title, ticks }) => [title, ticks.map(({ text }) => text)])).toEqual([
    ['optimizer.lr', ['0.0001', '0.01']],
    ['loss.type', ['"clip"', '"siglip"']],
    ['loss', ['1', '3']],
  ]);
  expect(lines).toEqual([
    { index: 0, at: [0, 0, 1], good: 0 },
    { index: 1, at: [expect.closeTo(0.5), 1, 0.5], good: 0.5 },
    { index: 2, at: [1, 0, 0], good: 1 },
  ]);
});

test('without a result there is nothing to draw', () =>
  expect(parallelLines(sweep, [])).toEqual({ axes: [], lines: [] }));
