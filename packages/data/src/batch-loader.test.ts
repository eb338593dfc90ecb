import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Batch, BatchLoader, type BatchLoaderOptions } from './batch-loader.js';
import type { BadSample } from './batch-reader.js';
import { emptyCaption } from './caption.js';
import type { Dataset, ReadOptions, Sample } from './dataset.js';
import { undecodable } from './image/decode.js';
import { CLIP_PIXEL_STATISTICS } from './image/normalize.js';
import { Sampler } from './sampler.js';
import { SyntheticDataset } from './synthetic-dataset.js';

const CONTEXT = 4;

/** Noise whose captions are sample indices; chosen indices are bad. Counts reads. */
class NumberedDataset implements Dataset {
  readonly size: number;
  readonly imageSize = 2;
  readonly #noise: SyntheticDataset;
  readonly #bad: (index: number) => boolean;
  reads = 0;
  reading = 0;

  constructor(size: number, bad: (index: number) => boolean = () => false) {
    this.size = size;
    this.#noise = new SyntheticDataset({ samples: size, seed: 0, imageSize: 2 });
    this.#bad = bad;
  }

  async read(index: number, options: ReadOptions = {}): Promise<Sample> {
    this.reads++;
    this.reading++;
    try {
      await setTimeout(0, undefined, { signal: options.signal });
      if (this.#bad(index))
        throw index % 2 === 0 ? undecodable(`sample ${index}`, 'broken') : emptyCaption(`sample ${index}`, 'blank');
      return { ...(await this.#noise.read(index)), caption: String(index) };
    } finally {
      this.reading--;
    }
  }

  async *captions(): AsyncIterable<string> {}
  async close(): Promise<void> {}
}

const tokenize = (caption: string) => Int32Array.of(1, Number(caption), 2, 0);

function loaderOf(
  dataset: Dataset,
  options: Partial<BatchLoaderOptions> = {},
  onBadSample?: (bad: BadSample) => void,
): BatchLoader {
  const sampler = new Sampler({ size: dataset.size, seed: 4 });
  return new BatchLoader(
    { dataset, sampler, tokenize, onBadSample },
    {
      globalBatch: 12,
      worldSize: 1,
      rank: 0,
      contextLength: CONTEXT,
      prefetch: 2,
      maxBadFraction: 0.5,
      seed: 4,
      ...CLIP_PIXEL_STATISTICS,
      ...options,
    },
  );
}

const indicesOf = (batch: Pick<Batch, 'tokens'>): number[] => [...batch.tokens].filter((_, i) => i % CONTEXT === 1);

/** Sample indices of global batches 0..steps-1, put together from the ranks of a world. */
async function globalBatches(dataset: Dataset, worldSize: number, steps: number): Promise<number[][]> {
  const batches: number[][] = Array.from({ length: steps }, () => []);
  for (let rank = 0; rank < worldSize; rank++) {
    const loader = loaderOf(dataset, { worldSize, rank });
    for (let step = 0; step < steps; step++) batches[step]!.push(...indicesOf(await loader.load(step)));
    await loader.close();
  }
  return batches;
}

describe('BatchLoader', () => {
  it('gives the same global batches for any world size, bad samples among them', async () => {
    const dataset = new NumberedDataset(50, (index) => index % 9 === 0);
    const [one, two, four] = [
      await globalBatches(dataset, 1, 10),
      await globalBatches(dataset, 2, 10),
      await globalBatches(dataset, 4, 10),
    ];
    expect(two).toEqual(one);
    expect(four).toEqual(one);
    expect(one.flat().some((index) => index % 9 === 0)).toBe(false);
  });

  it('takes each sample once an epoch, across batches that straddle its end', async () => {
    const batches = (await globalBatches(new NumberedDataset(30), 2, 5)).flat();
    const ascending = (values: number[]) => values.sort((a, b) => a - b);
    expect(ascending(batches.slice(0, 30))).toEqual(Array.from({ length: 30 }, (_, i) => i));
    expect(ascending(batches.slice(30, 60))).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });

  it('gives after a jump what it gives in order', async () => {
    const dataset = new NumberedDataset(100);
    const inOrder = loaderOf(dataset);
    const expected: Batch[] = [];
    for (let step = 0; step < 6; step++) expected.push(await inOrder.load(step));
    const jumping = loaderOf(dataset);
    for (const step of [4, 5, 0, 3]) expect(await jumping.load(step)).toEqual(expected[step]);
    await inOrder.close();
    await jumping.close();
  });

  it('normalises by mean and standard deviation of the channel', async () => {
    const dataset = new NumberedDataset(100);
    const loader = loaderOf(dataset);
    const [{ images }, { pixels }] = [await loader.load(0), await loaderOf(dataset).loadPixels(0)];
    const { mean, std } = CLIP_PIXEL_STATISTICS;
    expect(images.length).toBe(12 * 2 * 2 * 3);
    for (const [i, value] of images.entries())
      expect(value).toBeCloseTo((pixels[i]! / 255 - mean[i % 3]!) / std[i % 3]!, 5);
    await loader.close();
  });

  it('reads ahead so many steps and no more, and none beyond the last step', async () => {
    const dataset = new NumberedDataset(1000);
    const loader = loaderOf(dataset, { prefetch: 2, totalSteps: 6 });
    await loader.load(0);
    await setTimeout(100);
    expect(dataset.reads).toBe(3 * 12);
    await loader.load(1);
    await setTimeout(50);
    expect(dataset.reads).toBe(4 * 12);
    for (let step = 2; step < 6; step++) await loader.load(step);
    await setTimeout(50);
    expect(dataset.reads).toBe(6 * 12);
    await loader.close();
  });

  it('counts bad samples, and reports each once', async () => {
    const dataset = new NumberedDataset(24, (index) => index === 3 || index === 8);
    const reported: BadSample[] = [];
    const loader = loaderOf(dataset, {}, (bad) => reported.push(bad));
    let last: Batch | undefined;
    for (let step = 0; step < 6; step++) last = await loader.load(step);
    expect(last!.badSamples).toBe(6);
    expect(reported.map(({ index }) => index).sort()).toEqual([3, 8]);
    const sampler = new Sampler({ size: 24, seed: 4 });
    for (const { position, index, error } of reported) {
      expect(sampler.indexAt(position)).toBe(index);
      expect(error.code).toBe(index === 3 ? 'caption_empty' : 'image_undecodable');
    }
    await loader.close();
  });

  it('fails above the allowed share: after a hundred samples, or as soon as it has met more than all may be', async () => {
    const failure = {
      code: 'data_too_many_bad_samples',
      fields: [{ path: 'data.train.maxBadFraction', value: 0.01, remedy: expect.any(String) }],
    };
    const large = loaderOf(new NumberedDataset(1000, (index) => index % 10 === 0), { maxBadFraction: 0.01 });
    for (let step = 0; step < 8; step++) await large.load(step);
    await expect(large.load(8)).rejects.toMatchObject(failure);
    await large.close();
    const small = loaderOf(new NumberedDataset(20, (index) => index === 5), { maxBadFraction: 0.01 });
    await expect(small.load(0).then(() => small.load(1))).rejects.toMatchObject(failure);
    await small.close();
    const allowed = loaderOf(new NumberedDataset(1000, (index) => index % 10 === 0), { maxBadFraction: 0.3 });
    for (let step = 0; step < 20; step++) await allowed.load(step);
    await allowed.close();
  });

  it('goes on where the few bad samples that a data set may have come early, and names the last where it fails', async () => {
    const sampler = new Sampler({ size: 400, seed: 4 });
    const early = new Set([sampler.indexAt(100), sampler.indexAt(3)]);
    const allowed = loaderOf(new NumberedDataset(400, (index) => early.has(index)), { maxBadFraction: 0.01 });
    for (let step = 0; step < 40; step++) await allowed.load(step);
    await allowed.close();
    const first = new Set(Array.from({ length: 12 }, (_, position) => sampler.indexAt(position)));
    const dataset = new NumberedDataset(400, (index) => first.has(index));
    const failing = loaderOf(dataset, { maxBadFraction: 0.04 });
    for (let step = 0; step < 8; step++) await failing.load(step);
    await expect(failing.load(8)).rejects.toThrow(/12 of the 108 .* the last: .*sample \d+.*[^.]\. Mend the data/);
    await failing.close();
  });

  it('fails when not one sample is usable', async () => {
    const loader = loaderOf(new NumberedDataset(100, () => true));
    await expect(loader.load(0)).rejects.toMatchObject({ code: 'data_too_many_bad_samples' });
    await loader.close();
  });

  it('hands on errors that concern more than a sample, and reads again when asked again', async () => {
    let broken = true;
    const dataset = new NumberedDataset(100, () => {
      if (broken) throw new Error('disk gone');
      return false;
    });
    const loader = loaderOf(dataset);
    await expect(loader.load(0)).rejects.toThrow('disk gone');
    broken = false;
    await loader.close();
    const again = loaderOf(dataset);
    expect(indicesOf(await again.load(0)).length).toBe(12);
    await again.close();
  });

  it('ends a load at an abort, and stops all reading when it closes', async () => {
    const dataset = new NumberedDataset(10_000);
    const loader = loaderOf(dataset, { globalBatch: 2000 });
    const controller = new AbortController();
    const load = loader.load(0, { signal: controller.signal });
    controller.abort(new Error('stop now'));
    await expect(load).rejects.toThrow('stop now');
    await loader.close();
    const { reads } = dataset;
    expect(dataset.reading).toBe(0);
    expect(reads).toBeLessThan(2000);
    await setTimeout(20);
    expect(dataset.reads).toBe(reads);
  });

  it('leaves the event loop its turns while it reads samples that need no waiting', async () => {
    const dataset = new SyntheticDataset({ samples: 10_000, seed: 1, imageSize: 64 });
    const loader = new BatchLoader(
      { dataset, sampler: new Sampler({ size: 10_000, seed: 1 }), tokenize: () => new Int32Array(CONTEXT) },
      {
        globalBatch: 4000,
        worldSize: 1,
        rank: 0,
        contextLength: CONTEXT,
        prefetch: 0,
        maxBadFraction: 0,
        seed: 1,
        ...CLIP_PIXEL_STATISTICS,
      },
    );
    let turns = 0;
    const ticking = setInterval(() => turns++, 1);
    await loader.loadPixels(0);
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(8);
    await loader.close();
  });
});
