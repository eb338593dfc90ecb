import { describe, expect, it } from 'vitest';
import { defaultTileSizes, evenRanges } from './tiles.js';

describe('evenRanges', () => {
  it('covers everything once, in at most two sizes', () => {
    for (const [total, limit] of [
      [1, 1],
      [7, 3],
      [24, 5],
      [100, 1000],
      [4099, 1024],
    ] as const) {
      const ranges = evenRanges(total, limit);
      expect(ranges.length).toBe(Math.ceil(total / limit));
      let next = 0;
      for (const { begin, size } of ranges) {
        expect(begin).toBe(next);
        expect(size).toBeGreaterThan(0);
        expect(size).toBeLessThanOrEqual(limit);
        next += size;
      }
      expect(next).toBe(total);
      const sizes = ranges.map((range) => range.size);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }
  });
});

describe('defaultTileSizes', () => {
  it('leaves small batches whole and bounds the rest by a million logits', () => {
    expect(defaultTileSizes(64, 128)).toEqual({ rows: 64, columns: 128 });
    expect(defaultTileSizes(4096, 32768)).toEqual({ rows: 512, columns: 2048 });
    expect(defaultTileSizes(64, 32768)).toEqual({ rows: 64, columns: 16384 });
  });
});
