import { describe, expect, it } from 'vitest';
import type { BadSample } from './batch-reader.js';
import type { Dataset } from './dataset.js';
import { loadEvaluation } from './evaluation-samples.js';
import { undecodable } from './image/decode.js';
import { ShapesDataset } from './shapes/shapes-dataset.js';

const shapes = new ShapesDataset({
  samples: 200,
  seed: 2,
  split: 'all',
  imageSize: 8,
  augment: 'crop',
  augmentSeed: 1,
});

describe('loadEvaluation', () => {
  it('gives a stretch in order, not augmented, with classes and groups', async () => {
    const { indices, pixels, captions, labels, groups } = await loadEvaluation(shapes, { offset: 60, count: 10 });
    expect(indices).toEqual([60, 61, 62, 63, 64, 65, 66, 67, 68, 69]);
    expect([...labels]).toEqual([60, 61, 62, 63, 0, 1, 2, 3, 4, 5]);
    const plain = await shapes.read(63, { augment: 'none' });
    expect(pixels.subarray(3 * 192, 4 * 192)).toEqual(plain.pixels);
    expect(captions[3]).toBe(plain.caption);
    expect(groups[3]).toBe(plain.group);
  });

  it('stops at the end of the data set', async () => {
    expect((await loadEvaluation(shapes, { offset: 195, count: 10 })).captions.length).toBe(5);
    expect((await loadEvaluation(shapes, { offset: 300, count: 10 })).pixels.length).toBe(0);
  });

  it('leaves bad samples out and reports them', async () => {
    const dataset: Dataset = {
      size: 5,
      imageSize: 8,
      read: async (index) => {
        if (index === 2) throw undecodable('sample 2', 'broken');
        return { pixels: new Uint8Array(192).fill(index), caption: String(index) };
      },
      captions: shapes.captions.bind(shapes),
      close: async () => undefined,
    };
    const bad: BadSample[] = [];
    const samples = await loadEvaluation(dataset, { offset: 1, count: 3, onBadSample: (sample) => bad.push(sample) });
    expect(samples.indices).toEqual([1, 3]);
    expect([...samples.pixels.subarray(190, 194)]).toEqual([1, 1, 3, 3]);
    expect([...samples.labels]).toEqual([-1, -1]);
    expect(bad.map(({ index }) => index)).toEqual([2]);
  });
});
