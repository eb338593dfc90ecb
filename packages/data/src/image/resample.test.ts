import { describe, expect, it } from 'vitest';
import { type DecodedPicture, resample } from './resample.js';

const WHOLE = { x: 0, y: 0, width: 1, height: 1 };

function patterned(width: number, height: number): DecodedPicture {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) pixels[(y * width + x) * 3 + c] = (x * 37 + y * 91 + c * 53 + x * y * 11) % 256;
    }
  }
  return { width, height, pixels };
}

/** Side of `patterned`, side of the result, and Pillow 13.0.0's `resize(.., BICUBIC)` of it. */
const PILLOW: readonly (readonly [number, number, readonly number[]])[] = [
  [
    9,
    4,
    [
      100, 132, 148, 135, 138, 147, 133, 134, 130, 115, 107, 116, 123, 144, 115, 128, 122, 105, 114, 128, 117, 153, 131,
      130, 117, 157, 144, 136, 116, 135, 117, 138, 152, 158, 127, 109, 157, 93, 152, 151, 79, 125, 124, 154, 111, 115,
      153, 101,
    ],
  ],
  [
    5,
    7,
    [
      0, 46, 99, 12, 65, 117, 42, 94, 151, 67, 120, 188, 92, 157, 214, 129, 191, 243, 158, 210, 255, 43, 94, 165, 65,
      128, 200, 104, 175, 184, 147, 200, 92, 189, 108, 117, 140, 93, 164, 64, 127, 197, 121, 178, 158, 155, 164, 200,
      174, 175, 177, 157, 210, 58, 207, 91, 94, 144, 68, 104, 45, 110, 90, 179, 246, 29, 228, 121, 61, 196, 36, 108, 44,
      97, 150, 79, 139, 211, 133, 186, 126, 165, 218, 1, 49, 106, 85, 90, 99, 147, 127, 128, 146, 136, 189, 37, 198, 82,
      83, 146, 70, 115, 56, 121, 121, 42, 94, 171, 90, 154, 154, 120, 192, 106, 102, 155, 47, 164, 84, 104, 145, 97,
      119, 88, 150, 102, 108, 161, 230, 172, 225, 107, 153, 205, 37, 6, 59, 127, 55, 120, 206, 135, 198, 130, 190, 242,
      8,
    ],
  ],
  [
    16,
    5,
    [
      118, 134, 134, 131, 131, 128, 117, 119, 130, 110, 140, 124, 148, 94, 96, 123, 140, 128, 121, 129, 129, 141, 133,
      120, 121, 125, 125, 134, 107, 128, 146, 102, 139, 136, 112, 121, 128, 149, 122, 133, 134, 140, 109, 147, 106, 127,
      136, 124, 142, 114, 128, 133, 118, 145, 126, 126, 136, 107, 127, 137, 135, 133, 112, 132, 135, 135, 143, 117, 130,
      124, 121, 119, 117, 138, 135,
    ],
  ],
];

describe('resample', () => {
  it.each(PILLOW)('gives what Pillow gives, %i to %i pixels', (from, to, expected) => {
    const actual = resample(patterned(from, from), WHOLE, to);
    expect(actual.length).toBe(expected.length);
    // Pillow rounds to bytes between the two passes.
    for (const [i, value] of expected.entries())
      expect(Math.abs(actual[i]! - value), `value ${i}`).toBeLessThanOrEqual(1);
  });

  it('changes nothing at the same size, and keeps a plain colour at any', () => {
    const picture = patterned(8, 8);
    expect(resample(picture, WHOLE, 8)).toEqual(picture.pixels);
    const plain = { width: 7, height: 11, pixels: new Uint8Array(231).fill(77) };
    for (const size of [1, 3, 20])
      expect(new Set(resample(plain, { x: 0.1, y: 0.2, width: 0.7, height: 0.5 }, size))).toEqual(new Set([77]));
  });

  it('cuts a box of whole pixels out unchanged', () => {
    const picture = patterned(8, 4);
    const out = resample(picture, { x: 2 / 8, y: 0, width: 4 / 8, height: 1 }, 4);
    for (let y = 0; y < 4; y++) {
      const row = picture.pixels.subarray((y * 8 + 2) * 3, (y * 8 + 6) * 3);
      expect(out.subarray(y * 12, y * 12 + 12)).toEqual(row);
    }
  });
});
