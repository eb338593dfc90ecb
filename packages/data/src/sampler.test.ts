import { describe, expect, it } from 'vitest';
import { Sampler } from './sampler.js';

const epoch = (sampler: Sampler, number: number): number[] =>
  Array.from({ length: sampler.size }, (_, i) => sampler.indexAt(number * sampler.size + i));
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('Sampler', () => {
  it.each([1, 2, 3, 7, 64, 65, 1000, 4097])('gives each of %i samples exactly once an epoch', (size) => {
    const sampler = new Sampler({ size, seed: 3 });
    for (const number of [0, 1, 2, 1_000_000]) expect(sorted(epoch(sampler, number))).toEqual(range(size));
  });

  it.each([
    [[5]],
    [[1, 0, 3, 0, 0, 2]],
    [Array.from({ length: 100 }, (_, i) => i % 7)],
    [Array.from({ length: 20 }, () => 5000)],
  ])('gives each sample of shards exactly once an epoch (%#)', (shardSizes) => {
    const size = shardSizes.reduce((a, b) => a + b, 0);
    const sampler = new Sampler({ size, seed: 3, shardSizes });
    for (const number of [0, 17]) expect(sorted(epoch(sampler, number))).toEqual(range(size));
  });

  it.each([undefined, Array.from({ length: 10 }, () => 100)])(
    'orders every epoch and every seed differently',
    (shardSizes) => {
      const orders = [0, 1, 2].flatMap((seed) => {
        const sampler = new Sampler({ size: 1000, seed, shardSizes });
        return [0, 1, 2].map((number) => epoch(sampler, number).join());
      });
      expect(new Set(orders).size).toBe(9);
    },
  );

  it('answers the same at any position, whatever was asked before', () => {
    const shardSizes = Array.from({ length: 200 }, () => 500);
    const options = { size: 100_000, seed: 8, shardSizes };
    const forward = new Sampler(options);
    const jumping = new Sampler(options);
    const positions = Array.from({ length: 500 }, (_, i) => (i * 7919 * 31) % 300_000);
    const expected = new Map(sorted(positions).map((position) => [position, forward.indexAt(position)]));
    for (const position of positions) expect(jumping.indexAt(position)).toBe(expected.get(position));
  });

  it('spreads neighbours: about as many ascents as descents, few fixed points', () => {
    const size = 10_000;
    const order = epoch(new Sampler({ size, seed: 5 }), 0);
    const ascents = order.filter((value, i) => i > 0 && value > order[i - 1]!).length;
    expect(Math.abs(ascents - size / 2)).toBeLessThan(150);
    expect(order.filter((value, i) => value === i).length).toBeLessThan(10);
    const firstHalf = order.slice(0, size / 2).filter((value) => value < size / 2).length;
    expect(Math.abs(firstHalf - size / 4)).toBeLessThan(200);
  });

  it('stays within a window of shards at a time, and takes shards in another order each epoch', () => {
    const shardSizes = Array.from({ length: 64 }, () => 5000);
    const sampler = new Sampler({ size: 64 * 5000, seed: 1, shardSizes });
    const shardsOf = (from: number) =>
      new Set(Array.from({ length: 16 * 5000 }, (_, i) => Math.floor(sampler.indexAt(from + i) / 5000)));
    const [first, second] = [shardsOf(0), shardsOf(sampler.size)];
    expect(first.size).toBe(16);
    expect(second.size).toBe(16);
    expect([...first].some((shard) => !second.has(shard))).toBe(true);
    expect([...first].some((shard) => shard > 16)).toBe(true);
  });
});
