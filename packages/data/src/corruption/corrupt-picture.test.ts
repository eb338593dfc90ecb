import { CORRUPTION_TYPES, type CorruptionType } from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { openDataset } from '../open-dataset.js';
import { corruptPictures } from './corrupt-picture.js';

const SIZE = 64;
const VALUES = 3 * SIZE ** 2;

/** `count` pictures, each of one grey. */
const grey = (value: number, count = 1): Uint8Array => new Uint8Array(count * VALUES).fill(value);

const corrupt = (
  pixels: Uint8Array,
  type: CorruptionType,
  severity: number,
  { seed = 1, indices = [...Array(pixels.length / VALUES).keys()] } = {},
): Promise<Uint8Array> => corruptPictures(pixels, { type, severity }, { size: SIZE, seed, indices });

async function drawings(count: number): Promise<Uint8Array> {
  const places = { dataDir: '.', cacheDir: '.', imageSize: SIZE };
  const dataset = await openDataset({ type: 'shapes', samples: count, seed: 1, split: 'all' }, places);
  const pixels = new Uint8Array(count * VALUES);
  for (let i = 0; i < count; i++) pixels.set((await dataset.read(i)).pixels, i * VALUES);
  return pixels;
}

const expectSame = (a: Uint8Array, b: Uint8Array): void => expect(Buffer.compare(a, b)).toBe(0);

function moments(values: Uint8Array): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

describe('a corruption', () => {
  it.each(CORRUPTION_TYPES)('%s depends on seed and sample only, and is stronger with each severity', async (type) => {
    const pixels = await drawings(8);
    const before = pixels.slice();
    const distances: number[] = [];
    for (const severity of [1, 2, 3, 4, 5]) {
      const found = await corrupt(pixels, type, severity);
      const rest = await corrupt(pixels.subarray(3 * VALUES), type, severity, { indices: [3, 4, 5, 6, 7] });
      expectSame(rest, found.subarray(3 * VALUES));
      distances.push(found.reduce((sum, value, i) => sum + (value - pixels[i]!) ** 2, 0));
      const other = await corrupt(pixels, type, severity, { seed: 2 });
      const isRandom = type.endsWith('noise') || type === 'occlusion';
      expect(Buffer.compare(found, other) !== 0).toBe(isRandom);
    }
    expect(distances[0]).toBeGreaterThan(0);
    expect(distances).toEqual([...distances].sort((a, b) => a - b));
    expectSame(pixels, before);
  });

  it('adds normal noise of the deviation of ImageNet-C', async () => {
    const { mean, std } = moments(await corrupt(grey(127, 8), 'gaussian_noise', 1));
    expect(mean).toBeCloseTo(127, 0);
    // Rounding to bytes adds a variance of 1/12.
    expect(std / Math.sqrt((0.08 * 255) ** 2 + 1 / 12)).toBeCloseTo(1, 2);
  });

  it('counts photons', async () => {
    for (const [severity, photons] of [
      [1, 60],
      [5, 3],
    ] as const) {
      const { mean, std } = moments(await corrupt(grey(51, 8), 'shot_noise', severity));
      expect(mean / 51).toBeCloseTo(1, 1);
      expect(std / (255 * Math.sqrt(0.2 / photons))).toBeCloseTo(1, 1);
    }
    expectSame(await corrupt(grey(0), 'shot_noise', 5), grey(0));
  });

  it('makes a share of the values black or white, and a square grey', async () => {
    const salted = await corrupt(grey(100, 8), 'impulse_noise', 5);
    const shareOf = (value: number): number => salted.filter((found) => found === value).length / salted.length;
    for (const [value, share] of [
      [0, 0.135],
      [255, 0.135],
      [100, 0.73],
    ] as const)
      expect(shareOf(value) - share).toBeCloseTo(0, 2);
    const occluded = await corrupt(grey(0), 'occlusion', 4);
    expect(occluded.filter((value) => value !== 0).length / VALUES).toBeCloseTo(0.4, 1);
  });

  it('moves values towards the mean of their channel, or up with hue and saturation kept', async () => {
    const pixels = grey(0).map((_, i) => [200, 100, 40][i % 3]! + (i < VALUES / 2 ? -20 : 20));
    const low = await corrupt(pixels, 'contrast', 3);
    expect([...low.subarray(0, 3), ...low.subarray(-3)]).toEqual([196, 96, 36, 204, 104, 44]);
    const bright = await corrupt(
      grey(0).map((_, i) => [100, 50, 0][i % 3]!),
      'brightness',
      2,
    );
    expect([...bright.subarray(0, 3)]).toEqual([151, 76, 0]);
    expectSame(await corrupt(grey(0), 'brightness', 2), grey(51));
  });

  it('leaves a grey picture as it is where it only takes detail', async () => {
    for (const type of ['gaussian_blur', 'pixelate'] as const) expectSame(await corrupt(grey(120), type, 5), grey(120));
  });

  it('makes cells of the pixels whose middle they hold, as the box filter of Pillow does', async () => {
    const columns = Uint8Array.from({ length: 75 }, (_, i) => 10 * (Math.floor(i / 3) % 5) + (i % 3));
    const found = await corruptPictures(columns, { type: 'pixelate', severity: 1 }, { size: 5, seed: 0, indices: [0] });
    expect([...found.subarray(0, 15)]).toEqual([5, 6, 7, 5, 6, 7, 20, 21, 22, 35, 36, 37, 35, 36, 37]);
  });
});
