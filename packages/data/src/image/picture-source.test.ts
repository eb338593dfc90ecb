import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { PictureSource } from './picture-source.js';

const noise = (side: number) =>
  sharp({
    create: {
      width: side,
      height: side,
      channels: 3,
      background: '#888',
      noise: { type: 'gaussian', mean: 128, sigma: 40 },
    },
  })
    .png()
    .toBuffer();

function counting(bytes: Buffer) {
  const counter = {
    loads: 0,
    load: async () => {
      counter.loads++;
      return bytes;
    },
  };
  return counter;
}

describe('PictureSource', () => {
  it('decodes a small picture once, and gives from memory what it gives anew', async () => {
    const file = counting(await noise(40));
    const make = () => new PictureSource({ imageSize: 16, augment: 'crop', augmentSeed: 5 });
    const source = make();
    const first = await source.read(3, 'x', file.load, { position: 100 });
    const second = await source.read(3, 'x', file.load, { position: 200 });
    expect(file.loads).toBe(1);
    expect(second).not.toEqual(first);
    expect(await make().read(3, 'x', file.load, { position: 200 })).toEqual(second);
    expect(await make().read(3, 'x', file.load, { position: 100 })).toEqual(first);
    const plain = await source.read(3, 'x', file.load, { position: 100, augment: 'none' });
    expect(await source.read(3, 'x', file.load, { position: 200, augment: 'none' })).toEqual(plain);
  });

  it('keeps no large picture, and none past its limit', async () => {
    const large = counting(await noise(200));
    const source = new PictureSource({ imageSize: 16, augment: 'none', augmentSeed: 5 });
    for (let i = 0; i < 3; i++) await source.read(1, 'x', large.load, {});
    expect(large.loads).toBe(3);
    const small = counting(await noise(40));
    const bounded = new PictureSource({ imageSize: 16, augment: 'none', augmentSeed: 5, cacheBytes: 2 * 40 * 40 * 3 });
    for (const index of [0, 1, 2, 0, 1, 2]) await bounded.read(index, 'x', small.load, {});
    expect(small.loads).toBe(4);
  });

  it('tries a broken picture again, for it is never kept', async () => {
    const broken = counting(Buffer.from('none'));
    const source = new PictureSource({ imageSize: 16, augment: 'none', augmentSeed: 5 });
    for (let i = 0; i < 2; i++) {
      await expect(source.read(0, 'sample 7', broken.load, {})).rejects.toMatchObject({
        code: 'image_undecodable',
        message: expect.stringContaining('sample 7'),
      });
    }
    expect(broken.loads).toBe(2);
  });
});
