import { expect, test } from 'vitest';
import { specDiff } from './spec-diff.js';

test('only fields that differ are told, by path, with a gap where a spec has none', () => {
  const one = { name: 'a', optimizer: { lr: 0.001, betas: [0.9, 0.98] }, labels: {} };
  const two = { name: 'a', optimizer: { lr: 0.002, betas: [0.9, 0.99], clipNorm: 1 }, labels: { team: 'x' } };
  expect(specDiff([one, two])).toEqual([
    { path: 'labels', values: ['{}', undefined] },
    { path: 'labels.team', values: [undefined, '"x"'] },
    { path: 'optimizer.betas[1]', values: ['0.98', '0.99'] },
    { path: 'optimizer.clipNorm', values: [undefined, '1'] },
    { path: 'optimizer.lr', values: ['0.001', '0.002'] },
  ]);
});

test('equal specs do not differ', () => expect(specDiff([{ a: [1] }, { a: [1] }, { a: [1] }])).toEqual([]));
