import { describe, expect, it } from 'vitest';
import { openDataset } from './open-dataset.js';

const open = (seed: number) =>
  openDataset({ type: 'synthetic', samples: 1000, seed }, { dataDir: '', cacheDir: '', imageSize: 32 });

describe('SyntheticDataset', () => {
  it('gives the same noise and words for the same seed and index, and other ones for another', async () => {
    const [first, again, other] = [await open(1), await open(1), await open(2)];
    const sample = await first.read(5);
    expect(await again.read(5)).toEqual(sample);
    for (const different of [await first.read(6), await other.read(5)]) {
      expect(different.pixels).not.toEqual(sample.pixels);
      expect(different.caption).not.toBe(sample.caption);
    }
  });

  it('makes pictures of uniform noise and captions of eight words', async () => {
    const { pixels, caption } = await (await open(1)).read(0);
    expect(pixels.length).toBe(3072);
    const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
    expect(Math.abs(mean - 127.5)).toBeLessThan(6);
    expect(new Set(pixels).size).toBe(256);
    expect(caption).toMatch(/^(word\d{1,3} ){7}word\d{1,3}$/);
  });

  it('lists its captions', async () => {
    const dataset = await open(1);
    const captions: string[] = [];
    for await (const caption of dataset.captions({ limit: 20 })) captions.push(caption);
    expect(captions.length).toBe(20);
    expect((await dataset.read(19)).caption).toBe(captions[19]);
  });
});
