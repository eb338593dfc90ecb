import type { CropBox } from './crop-box.js';

/** An upright RGB picture in memory, row-major [height, width, 3]. */
export interface DecodedPicture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** The source pixels that an output pixel is made of, along one axis. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * Resamples a part of a picture to [S, S, 3] bytes: separable bicubic convolution (Keys 1981, a = -0.5), widened by the
 * scale when it shrinks, which is what Pillow and torchvision's antialiased bicubic do. Meant for small pictures.
 */
export function resample(picture: DecodedPicture, box: CropBox, size: number): Uint8Array {
  const { width, height, pixels } = picture;
  const columns = tapsOf(box.x * width, box.width * width, width, size);
  const rows = tapsOf(box.y * height, box.height * height, height, size);

  const firstRow = rows[0]!.first;
  const last = rows[size - 1]!;
  const endRow = last.first + last.weights.length;
  const narrow = new Float32Array((endRow - firstRow) * size * 3);
  for (let y = firstRow, to = 0; y < endRow; y++) {
    for (const { first, weights } of columns) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let k = 0, from = (y * width + first) * 3; k < weights.length; k++, from += 3) {
        const weight = weights[k]!;
        red += weight * pixels[from]!;
        green += weight * pixels[from + 1]!;
        blue += weight * pixels[from + 2]!;
      }
      narrow[to++] = red;
      narrow[to++] = green;
      narrow[to++] = blue;
    }
  }

  // Clamped, for a cubic overshoots at edges; it rounds to the nearest, too.
  const out = new Uint8ClampedArray(size * size * 3);
  const stride = size * 3;
  for (let y = 0; y < size; y++) {
    const { first, weights } = rows[y]!;
    for (let x = 0; x < stride; x++) {
      let sum = 0;
      for (let k = 0, from = (first - firstRow) * stride + x; k < weights.length; k++, from += stride) {
        sum += weights[k]! * narrow[from]!;
      }
      out[y * stride + x] = sum;
    }
  }
  return new Uint8Array(out.buffer);
}

/** For each of `size` output pixels of [start, start + length): its source pixels within [0, limit). Ascending. */
function tapsOf(start: number, length: number, limit: number, size: number): Taps[] {
  const step = length / size;
  const scale = Math.max(1, step);
  return Array.from({ length: size }, (_, i) => {
    const centre = start + (i + 0.5) * step;
    const first = Math.max(0, Math.floor(centre - 2 * scale + 0.5));
    const end = Math.min(limit, Math.floor(centre + 2 * scale + 0.5));
    const weights = new Float64Array(Math.max(1, end - first));
    let sum = 0;
    for (let k = 0; k < weights.length; k++) sum += weights[k] = cubic((first + k + 0.5 - centre) / scale);
    for (let k = 0; k < weights.length; k++) weights[k]! /= sum;
    return { first, weights };
  });
}

function cubic(x: number): number {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  if (t < 2) return ((-0.5 * t + 2.5) * t - 4) * t + 2;
  return 0;
}
