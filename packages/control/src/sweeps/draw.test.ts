import { parseSweepSpec, type SweepParameter } from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { drawValue, gridValues, trialValues } from './draw.js';

const sweep = (changes: object) =>
  parseSweepSpec({
    version: 1,
    name: 'a',
    base: {},
    parameters: {
      'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2 },
      'batch.global': { type: 'choice', values: [64, 128] },
    },
    search: { type: 'random', trials: 5 },
    objective: { metric: 'loss', goal: 'min' },
    ...changes,
  });

describe('random values', () => {
  it('depend on seed, path and trial only', () => {
    const five = trialValues(sweep({}));
    expect(trialValues(sweep({}))).toEqual(five);
    const more = trialValues(
      sweep({
        search: { type: 'random', trials: 9 },
        parameters: {
          'batch.global': { type: 'choice', values: [64, 128] },
          'optimizer.weightDecay': { type: 'uniform', min: 0, max: 1 },
          'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2 },
        },
      }),
    );
    expect(more.slice(0, 5)).toMatchObject(five);
    expect(trialValues(sweep({ seed: 1 }))).not.toEqual(five);
    // Frozen: a later release must give the trials of an earlier one.
    expect(five).toEqual(EXPECTED);
  });

  const many = (parameter: SweepParameter) =>
    Array.from({ length: 4000 }, (_, index) => drawValue('p', parameter, { seed: 7, index }) as number);

  it('are spread as they should be', () => {
    const logs = many({ type: 'logUniform', min: 1e-5, max: 1e-1 }).map((value) => Math.log10(value));
    for (let decade = -5; decade < -1; decade++) {
      const share = logs.filter((log) => log >= decade && log < decade + 1).length / 4000;
      expect(Math.abs(share - 0.25)).toBeLessThan(0.03);
    }
    const uniform = many({ type: 'uniform', min: -1, max: 3 });
    expect(Math.abs(uniform.reduce((a, b) => a + b) / 4000 - 1)).toBeLessThan(0.06);
    expect(uniform.every((value) => value >= -1 && value <= 3)).toBe(true);
    const counts = new Map<number, number>();
    for (const value of many({ type: 'int', min: 2, max: 5 })) counts.set(value, (counts.get(value) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual([2, 3, 4, 5]);
    for (const count of counts.values()) expect(Math.abs(count / 4000 - 0.25)).toBeLessThan(0.03);
  });
});

describe('a grid', () => {
  it('has its points evenly, both ends among them, in the scale of the parameter', () => {
    expect(gridValues({ type: 'uniform', min: 0, max: 1, points: 3 })).toEqual([0, 0.5, 1]);
    expect(gridValues({ type: 'logUniform', min: 1e-4, max: 1e-2, points: 3 })).toEqual([1e-4, 1e-3, 1e-2]);
    expect(gridValues({ type: 'int', min: 1, max: 8, points: 3 })).toEqual([1, 5, 8]);
  });

  it('is every combination, the last parameter varying fastest', () => {
    const values = trialValues(
      sweep({
        search: { type: 'grid' },
        parameters: { a: { type: 'choice', values: ['x', 'y'] }, b: { type: 'int', min: 1, max: 3, points: 3 } },
      }),
    );
    expect(values.map(({ a, b }) => `${a}${b}`)).toEqual(['x1', 'x2', 'x3', 'y1', 'y2', 'y3']);
  });
});

const EXPECTED: unknown = [
  { 'optimizer.lr': 0.003694, 'batch.global': 128 },
  { 'optimizer.lr': 0.003695, 'batch.global': 128 },
  { 'optimizer.lr': 0.004697, 'batch.global': 64 },
  { 'optimizer.lr': 0.008088, 'batch.global': 64 },
  { 'optimizer.lr': 0.0001797, 'batch.global': 64 },
];
