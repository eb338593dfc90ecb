import { CounterRandom } from '@clipyard/tensor';
import { describe, expect, it } from 'vitest';
import { expectedRank, hitProbability, tiedRank } from './tied-ranks.js';

/** All orders of 0..n-1. */
function permutations(n: number): number[][] {
  if (n === 0) return [[]];
  return permutations(n - 1).flatMap((order) =>
    Array.from({ length: n }, (_, at) => [...order.slice(0, at), n - 1, ...order.slice(at)]),
  );
}

/** The slow reference: the mean over every order of candidates of what a stable sort gives. */
function overAllOrders(scores: readonly number[], right: readonly number[]) {
  const orders = permutations(scores.length);
  const ranks = orders.map((order) => {
    const sorted = [...order].sort((a, b) => scores[b]! - scores[a]!);
    return 1 + sorted.findIndex((candidate) => right.includes(candidate));
  });
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return { rank: mean(ranks), hits: [1, 2, 3, 5].map((k) => mean(ranks.map((rank) => Number(rank <= k)))) };
}

describe('ranks with ties', () => {
  it('are the mean over all orders of candidates', () => {
    const random = new CounterRandom(1);
    for (let round = 0; round < 40; round++) {
      const draw = (i: number, below: number) => Math.floor(random.uniformAt(round * 32 + i) * below);
      const count = 2 + draw(0, 5);
      const scores = Array.from({ length: count }, (_, i) => draw(1 + i, 3));
      const right = [...new Set(Array.from({ length: 1 + draw(10, 3) }, (_, i) => draw(11 + i, count)))];
      const reference = overAllOrders(scores, right);
      const rank = tiedRank(scores, right);
      expect(expectedRank(rank)).toBeCloseTo(reference.rank, 12);
      for (const [i, k] of [1, 2, 3, 5].entries()) expect(hitProbability(rank, k)).toBeCloseTo(reference.hits[i]!, 12);
    }
  });

  it('by hand', () => {
    expect(tiedRank([0.1, 0.9, 0.5, 0.5, 0.5], [2])).toEqual({ above: 1, tiedRight: 1, tiedWrong: 2 });
    expect(expectedRank({ above: 1, tiedRight: 1, tiedWrong: 2 })).toBe(3);
    expect(hitProbability({ above: 1, tiedRight: 1, tiedWrong: 2 }, 1)).toBe(0);
    expect(hitProbability({ above: 1, tiedRight: 1, tiedWrong: 2 }, 2)).toBeCloseTo(1 / 3);
    expect(hitProbability({ above: 1, tiedRight: 1, tiedWrong: 2 }, 4)).toBe(1);
  });

  it('give chance to a collapsed model, also one that answers with NaN', () => {
    for (const score of [0.25, Number.NaN, Number.NEGATIVE_INFINITY]) {
      const rank = tiedRank(new Float32Array(100).fill(score), [42]);
      expect(hitProbability(rank, 1)).toBeCloseTo(0.01);
      expect(hitProbability(rank, 10)).toBeCloseTo(0.1);
      expect(expectedRank(rank)).toBe(50.5);
    }
    expect(tiedRank([Number.NaN, 0, 1], [0])).toEqual({ above: 2, tiedRight: 1, tiedWrong: 0 });
    expect(tiedRank([Number.NaN, 0, Number.NaN], [1])).toEqual({ above: 0, tiedRight: 1, tiedWrong: 0 });
  });
});
