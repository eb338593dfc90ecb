import { readFile } from 'node:fs/promises';
import { formulaValues, formulaWords, referenceGroups, relativeDifference } from '@clipyard/testkit';
import { describe, expect, it } from 'vitest';
import { shareOf } from '../gather-rows.js';
import { eachScore, fitLogistic, type LogisticRows } from './logistic-regression.js';

interface Fixture {
  readonly samples: number;
  readonly heldOut: number;
  readonly features: number;
  readonly classes: number;
  readonly cases: {
    readonly strength: number;
    readonly weights: number[];
    readonly intercepts: number[];
    readonly value: number;
    readonly accuracy: number;
  }[];
}

const { logistic: fixture } = JSON.parse(
  await readFile(new URL('../../../src/fixtures/probe-sklearn.json', import.meta.url), 'utf8'),
) as { logistic: Fixture };
const { samples, heldOut, features: F, classes: C } = fixture;
const SIGNAL = new AbortController().signal;
const SCALES = [1, 2, 4, 0.5, 0.25, 1];

/** The inputs of the fixture, by formula. */
function data(count: number, name: string): LogisticRows {
  const labels = Int32Array.from(formulaWords(`probe.${name}.label`, count), (word) => (word >>> 0) % C);
  const centres = formulaValues('probe.centre', C * F);
  const noise = formulaValues(`probe.${name}.noise`, count * F, 1.5);
  const features = noise.map((value, i) => {
    const f = i % F;
    return Math.fround(Math.fround(centres[labels[Math.floor(i / F)]! * F + f]! + value) * SCALES[f]!);
  });
  return { features, labels, rows: Int32Array.from({ length: count }, (_, i) => i) };
}

describe('logistic regression', () => {
  const train = data(samples, 'train');
  const test = data(heldOut, 'test');

  it.each(fixture.cases)(
    "finds scikit-learn's solution at strength $strength, on any number of ranks",
    async (expected) => {
      for (const worldSize of [1, 3]) {
        const fits = await Promise.all(
          referenceGroups(worldSize).map((group) => {
            const { start, end } = shareOf(samples, group);
            const options = { strength: expected.strength, gradientTolerance: 1e-10, signal: SIGNAL };
            return fitLogistic(
              group,
              { ...train, rows: train.rows.subarray(start, end) },
              { features: F, classes: C },
              options,
            );
          }),
        );
        for (const { x } of fits) expect(x).toEqual(fits[0]!.x);
        const { x, value } = fits[0]!;
        expect(Math.abs(value / expected.value - 1)).toBeLessThan(1e-9);
        const mean = x.subarray(C * F).reduce((a, b) => a + b, 0) / C;
        const intercepts = x.slice(C * F).map((intercept) => intercept - mean);
        // Weakly held, the solution lies in a flat valley.
        const tolerance = expected.strength < 1e-3 ? 1e-3 : 1e-5;
        expect(relativeDifference(x.subarray(0, C * F), Float64Array.from(expected.weights))).toBeLessThan(tolerance);
        expect(relativeDifference(intercepts, Float64Array.from(expected.intercepts))).toBeLessThan(tolerance);
        let right = 0;
        await eachScore(test, { features: F, classes: C }, x, SIGNAL, (row, scores) => {
          right += Number(scores.indexOf(Math.max(...scores)) === test.labels[row]);
        });
        expect(right / heldOut).toBeCloseTo(expected.accuracy, 10);
      }
    },
  );

  it('needs fewer steps from a solution nearby, and comes to the same one', async () => {
    const [group] = referenceGroups(1);
    const fit = (strength: number, from?: Float64Array) =>
      fitLogistic(
        group!,
        train,
        { features: F, classes: C },
        { strength, from, gradientTolerance: 1e-9, signal: SIGNAL },
      );
    const cold = await fit(1);
    const warm = await fit(1, (await fit(1.3)).x);
    expect(warm.iterations).toBeLessThan(cold.iterations);
    expect(relativeDifference(warm.x.subarray(0, C * F), cold.x.subarray(0, C * F))).toBeLessThan(1e-5);
  });

  it('is all even where there is nothing to learn from', async () => {
    const [group] = referenceGroups(1);
    const none = { ...train, rows: new Int32Array(0) };
    const { x } = await fitLogistic(group!, none, { features: F, classes: C }, { strength: 1, signal: SIGNAL });
    expect(x.every((value) => value === 0)).toBe(true);
  });
});
