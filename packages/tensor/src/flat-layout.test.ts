import { describe, expect, it } from 'vitest';
import { FlatLayout } from './flat-layout.js';

const layout = new FlatLayout([
  { name: 'scale', shape: [] },
  { name: 'weight', shape: [5, 7] },
  { name: 'bias', shape: [16] },
]);

describe('FlatLayout', () => {
  it('aligns every tensor to 64 bytes and pads the total', () => {
    expect(layout.tensors.map(({ name, offset, size }) => [name, offset, size])).toEqual([
      ['scale', 0, 1],
      ['weight', 16, 35],
      ['bias', 64, 16],
    ]);
    expect(layout.total).toBe(80);
    expect(layout.elements).toBe(52);
  });

  it('gives views, not copies', () => {
    const buffer = new Float32Array(layout.total);
    layout.views(buffer).bias![3] = 5;
    expect(buffer[67]).toBe(5);
    expect(layout.view(buffer, 'bias')[3]).toBe(5);
    expect(Object.keys(layout.views(buffer))).toEqual(['scale', 'weight', 'bias']);
  });

  it.each([1, 2, 3, 4, 7])('cuts into %i equal, aligned shards that cover everything', (worldSize) => {
    const shards = Array.from({ length: worldSize }, (_, rank) => layout.shard(rank, worldSize));
    const length = shards[0]!.end;
    expect(length % 16).toBe(0);
    shards.forEach(({ start, end }, rank) => {
      expect([start, end]).toEqual([rank * length, (rank + 1) * length]);
    });
    expect(shards.at(-1)!.end).toBe(layout.paddedTotal(worldSize));
    expect(layout.paddedTotal(worldSize)).toBeGreaterThanOrEqual(layout.total);
  });

  it('refuses unknown and repeated names', () => {
    expect(() => layout.offset('gain')).toThrow(/no tensor gain/);
    const twice = { name: 'a', shape: [1] };
    expect(() => new FlatLayout([twice, twice])).toThrow(/unique/);
  });
});
