import type { TrialState } from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { bestTrial, nextPromotion, type Standing } from './promotion.js';

/** A trial with an objective for each finished rung. */
const trial = (index: number, state: TrialState, ...objectives: number[]): Standing => ({
  index,
  state,
  rung: objectives.length,
  results: objectives.map((objective, rung) => ({ rung, step: 10 * (rung + 1), objective, metrics: {} })),
});
const promotion = (trials: Standing[], goal: 'min' | 'max' = 'min', eta = 2, rungs = 3) =>
  nextPromotion(trials, { goal, eta, rungs })?.index;

type Mutable = { -readonly [K in keyof Standing]: Standing[K] } & { readonly value: number };

describe('promotion', () => {
  it('waits until a trial is among the best 1/eta of a rung, as results come in', () => {
    expect(promotion([trial(0, 'resting', 3)])).toBeUndefined();
    expect(promotion([trial(0, 'resting', 3), trial(1, 'resting', 2)])).toBe(1);
    expect(promotion([trial(0, 'resting', 3), trial(1, 'resting', 2)], 'max')).toBe(0);
    expect(promotion([trial(0, 'resting', 3), trial(1, 'running', 2)])).toBeUndefined();
    // The third is better than the one that was promoted before: there is still one place.
    expect(promotion([trial(0, 'resting', 3), trial(1, 'running', 2), trial(2, 'resting', 1)])).toBe(2);
  });

  it('looks at the highest rung first', () => {
    const rung0 = [trial(0, 'resting', 5), trial(1, 'resting', 4)];
    const rung1 = [trial(2, 'resting', 3, 2), trial(3, 'resting', 2, 1.5)];
    expect(promotion([...rung0, ...rung1])).toBe(3);
    expect(promotion([...rung0, ...rung1.map((one) => ({ ...one, state: 'running' as const }))])).toBeUndefined();
  });

  it('counts trials that failed or broke a constraint as the worst of their rung, and never promotes them', () => {
    expect(promotion([trial(0, 'resting', 3), trial(1, 'failed')])).toBe(0);
    expect(promotion([trial(0, 'resting', 3), trial(1, 'infeasible', 1)])).toBe(0);
    expect(promotion([trial(0, 'resting', 3), trial(1, 'cancelled')])).toBeUndefined();
  });

  it('takes the lower index of equals', () => {
    expect(promotion([trial(0, 'resting', 3), trial(1, 'resting', 3)])).toBe(0);
  });

  it('promotes from each rung 1/eta of the trials that came, whatever the order (against whole halving)', () => {
    for (let seed = 1; seed <= 20; seed++) {
      let random = seed;
      const next = () => {
        random = (random * 1103515245 + 12345) % 2 ** 31;
        return random / 2 ** 31;
      };
      const quality = Array.from({ length: 27 }, next);
      const trials = quality.map((value, index): Mutable => ({ ...trial(index, 'waiting'), value }));
      const finish = (one: Mutable) => {
        one.results = [...one.results, { rung: one.rung, step: 1, objective: one.value, metrics: {} }];
        one.rung += 1;
        one.state = one.rung === 4 ? 'succeeded' : 'resting';
      };
      for (;;) {
        const found = nextPromotion(trials, { goal: 'min', eta: 3, rungs: 4 });
        const waiting = trials.filter(({ state }) => state === 'waiting');
        const one = found === undefined ? waiting[Math.floor(next() * waiting.length)] : trials[found.index];
        if (one === undefined) break;
        finish(one);
      }
      // Asynchronous promotion may promote too early, so at least as many as halving does; the best is never left behind.
      const reached = (rung: number) => trials.filter(({ results }) => results.length > rung).length;
      expect([reached(1) >= 9, reached(2) >= 3, reached(3) >= 1]).toEqual([true, true, true]);
      const best = quality.indexOf(Math.min(...quality));
      expect(trials[best]!.state).toBe('succeeded');
      expect(bestTrial(trials, 'min')!.index).toBe(best);
    }
  });
});

describe('the best trial', () => {
  it('is the best of those that got furthest and kept the constraints', () => {
    expect(bestTrial([trial(0, 'waiting')], 'min')).toBeUndefined();
    const trials = [trial(0, 'resting', 1), trial(1, 'resting', 2, 2), trial(2, 'stopped', 2, 1.8)];
    expect(bestTrial(trials, 'min')!.index).toBe(2);
    expect(bestTrial([...trials, trial(3, 'infeasible', 1, 1)], 'min')!.index).toBe(2);
  });
});
