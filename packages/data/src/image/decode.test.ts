import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { randomCropBox } from './crop-box.js';
import { decodeImage } from './decode.js';

/** A picture whose red grows from left to right and whose green grows from top to bottom. */
function gradient(width: number, height: number) {
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data[(y * width + x) * 3] = Math.round((255 * x) / (width - 1));
      data[(y * width + x) * 3 + 1] = Math.round((255 * y) / (height - 1));
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

const pixel = (pixels: Uint8Array, size: number, x: number, y: number) => [
  ...pixels.subarray((y * size + x) * 3, (y * size + x) * 3 + 3),
];
const near = (actual: readonly number[], expected: readonly number[], tolerance: number) => {
  for (const [i, value] of expected.entries())
    expect(Math.abs(actual[i]! - value), `${actual} near ${expected}`).toBeLessThanOrEqual(tolerance);
};

describe('decodeImage', () => {
  it('resizes the shorter side and cuts out the centre', async () => {
    const wide = await decodeImage(await gradient(300, 100).png().toBuffer(), { size: 50, name: 'x' });
    near(pixel(wide, 50, 0, 25), [85, 130, 0], 4);
    near(pixel(wide, 50, 49, 25), [170, 130, 0], 4);
    const tall = await decodeImage(await gradient(100, 300).png().toBuffer(), { size: 50, name: 'x' });
    near(pixel(tall, 50, 25, 0), [130, 85, 0], 4);
    const small = await decodeImage(await gradient(5, 5).png().toBuffer(), { size: 50, name: 'x' });
    expect(small.length).toBe(7500);
  });

  it('turns pictures upright by their EXIF tag, with and without a random crop', async () => {
    const plain = await gradient(120, 90).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer();
    // 6: the camera was turned; shown rotated by 90 degrees clockwise.
    const turned = await sharp(plain)
      .withMetadata({ orientation: 6 })
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .toBuffer();
    const upright = await decodeImage(turned, { size: 30, name: 'x' });
    // Clockwise: what was at the bottom left is now at the top left.
    near(pixel(upright, 30, 0, 0), [36, 250, 0], 12);
    near(pixel(upright, 30, 29, 29), [218, 4, 0], 12);
    const cropped = await decodeImage(turned, { size: 30, name: 'x', crop: { seed: 1, position: 2 } });
    expect(pixel(cropped, 30, 0, 0)[1]).toBeGreaterThan(180);
    expect(pixel(cropped, 30, 29, 29)[1]).toBeLessThan(75);
  });

  it('lays alpha on white and widens gray, 16-bit, palette and CMYK pictures to 8-bit RGB', async () => {
    const background = { r: 255, g: 0, b: 0, alpha: 0 };
    const clear = await sharp({ create: { width: 4, height: 4, channels: 4, background } })
      .png()
      .toBuffer();
    expect(new Set(await decodeImage(clear, { size: 4, name: 'x' }))).toEqual(new Set([255]));
    const gray = sharp({ create: { width: 4, height: 4, channels: 3, background: '#808080' } });
    const kinds = {
      gray: gray.clone().toColourspace('b-w').png(),
      deep: gray.clone().toColourspace('rgb16').png(),
      deepGray: gray.clone().toColourspace('grey16').png(),
      palette: gray.clone().png({ palette: true }),
      cmyk: gray.clone().toColourspace('cmyk').jpeg(),
    };
    for (const [kind, image] of Object.entries(kinds)) {
      const pixels = await decodeImage(await image.toBuffer(), { size: 4, name: kind });
      for (const value of pixels) expect(Math.abs(value - 128), kind).toBeLessThan(16);
    }
  });

  it('crops at random by seed and position, and covers at least nine tenths of the picture', async () => {
    const picture = await gradient(200, 200).png().toBuffer();
    const crop = (position: number, seed = 1) =>
      decodeImage(picture, { size: 40, name: 'x', crop: { seed, position } });
    const first = await crop(7);
    expect(await crop(7)).toEqual(first);
    expect(await crop(8)).not.toEqual(first);
    expect(await crop(7, 2)).not.toEqual(first);
    for (let position = 0; position < 200; position++) {
      const box = randomCropBox(1, position, 200, 150);
      expect(box.width * box.height).toBeGreaterThan(0.9 - 1e-9);
      expect(Math.min(box.x, box.y)).toBeGreaterThanOrEqual(0);
      expect(Math.max(box.x + box.width, box.y + box.height)).toBeLessThanOrEqual(1 + 1e-9);
    }
    const { x, width, height } = randomCropBox(1, 0, 1000, 100);
    expect([x, width, height]).toEqual([expect.closeTo(0.43333, 4), expect.closeTo(0.13333, 4), 1]);
  });

  it('says image_undecodable with the name for what is no picture, or a cut one', async () => {
    const picture = await gradient(64, 64).jpeg().toBuffer();
    for (const bytes of [Buffer.alloc(0), Buffer.from('text'), picture.subarray(0, picture.length / 2)]) {
      for (const crop of [undefined, { seed: 1, position: 1 }]) {
        await expect(decodeImage(bytes, { size: 8, name: 'sample 3 of 0.tar', crop })).rejects.toMatchObject({
          code: 'image_undecodable',
          message: expect.stringContaining('sample 3 of 0.tar'),
          fields: [{ value: 'sample 3 of 0.tar', remedy: expect.any(String) }],
        });
      }
    }
  });
});
