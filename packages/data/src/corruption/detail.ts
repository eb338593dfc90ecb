import type { CounterRandom } from '@clipyard/tensor';
import sharp from 'sharp';

/** What takes detail from a square picture [S,S,3] of RGB bytes. */

const GREY = 127;
/** Side of the pictures of ImageNet-C, whose blurs are in pixels of it. */
const IMAGENET_C_SIDE = 224;
/** The least that libvips blurs by, pixels. */
const MIN_SIGMA = 0.3;
/** Where its mask ends, as a part of its highest value; the least there is, so that small blurs do something. */
const MIN_AMPLITUDE = 0.001;

const raw = (pixels: Uint8Array, size: number) => sharp(pixels, { raw: { width: size, height: size, channels: 3 } });

/** `sigma` as for a picture of side 224: the same part of the picture at any size, but at least 0.3 pixels. */
export async function blur(pixels: Uint8Array, sigma: number, size: number): Promise<Uint8Array> {
  const scaled = Math.max(MIN_SIGMA, (sigma * size) / IMAGENET_C_SIDE);
  return await raw(pixels, size)
    .blur({ sigma: scaled, minAmplitude: MIN_AMPLITUDE, precision: 'float' })
    .raw()
    .toBuffer();
}

export async function compress(pixels: Uint8Array, quality: number, size: number): Promise<Uint8Array> {
  const file = await raw(pixels, size).jpeg({ quality }).toBuffer();
  return await sharp(file).toColourspace('srgb').raw().toBuffer();
}

/** Cells of which `share` of S fit into a row, each of the mean of the pixels whose middle it holds, as Pillow's box filter. */
export function pixelate(pixels: Uint8Array, share: number, size: number): Uint8Array {
  const cells = Math.max(1, Math.floor(size * share));
  const along = (at: number): number => Math.floor(((at + 0.5) * cells) / size);
  const cellOf = (i: number): number => {
    const pixel = Math.floor(i / 3);
    return 3 * (along(Math.floor(pixel / size)) * cells + along(pixel % size)) + (i % 3);
  };
  const sums = new Float64Array(3 * cells * cells);
  const counts = new Float64Array(sums.length);
  pixels.forEach((value, i) => {
    sums[cellOf(i)]! += value;
    counts[cellOf(i)]!++;
  });
  return pixels.map((_, i) => Math.round(sums[cellOf(i)]! / counts[cellOf(i)]!));
}

/** A grey square of a `share` of the picture's area, anywhere in it. */
export function occlude(pixels: Uint8Array, share: number, size: number, random: CounterRandom): Uint8Array {
  const side = Math.round(size * Math.sqrt(share));
  const [left, top] = [0, 1].map((i) => Math.floor(random.uniformAt(i) * (size - side + 1))) as [number, number];
  const out = pixels.slice();
  for (let row = top; row < top + side; row++) out.fill(GREY, 3 * (row * size + left), 3 * (row * size + left + side));
  return out;
}
