import { describe, expect, it } from 'vitest';
import { CLIP_PIXEL_STATISTICS, normalizePixels, type PixelStatistics } from './normalize.js';

const OTHER: PixelStatistics = { mean: [0, 0.5, 1], std: [1, 0.25, 2] };
const bytes = Uint8Array.from({ length: 3 * 300 }, (_, i) => (i * 151 + (i >> 3)) & 255);
const reference = (pixels: Uint8Array, { mean, std }: PixelStatistics): Float32Array =>
  Float32Array.from(pixels, (value, i) => (value / 255 - mean[i % 3]!) / std[i % 3]!);

describe('normalizePixels', () => {
  it('is the formula, bit for bit, for every number of pixels and wherever they lie', () => {
    for (const offset of [0, 1, 2, 3, 4, 6]) {
      for (const count of [0, 1, 2, 3, 4, 5, 8, 11, 256]) {
        const pixels = bytes.subarray(offset, offset + 3 * count);
        for (const statistics of [CLIP_PIXEL_STATISTICS, OTHER])
          expect(normalizePixels(pixels, statistics), `${count} from ${offset}`).toEqual(reference(pixels, statistics));
      }
    }
  });

  it('writes where it is told to, in memory that threads share too', () => {
    const pixels = new Uint8Array(new SharedArrayBuffer(27));
    pixels.set(bytes.subarray(0, 27));
    const out = new Float32Array(new SharedArrayBuffer(4 * 29), 4, 27);
    expect(normalizePixels(pixels, OTHER, out)).toBe(out);
    expect([...out]).toEqual([...reference(pixels, OTHER)]);
  });
});
