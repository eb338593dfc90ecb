import { randomUniforms } from '../random-key.js';

/** A part of a picture, as shares of its width and height. */
export interface CropBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Smallest area of a random crop, as a share of the picture; open_clip's default. */
const MIN_AREA = 0.9;
const LOG_MAX_ASPECT = Math.log(4 / 3);
const ATTEMPTS = 10;

/**
 * The random resized crop of the picture at `position` of the order of training: area in [0.9, 1] of the picture,
 * aspect ratio log-uniform in [3/4, 4/3], as torchvision's `RandomResizedCrop.get_params`; where ten draws find no such
 * box, the largest centred one. `width` and `height` in pixels.
 */
export function randomCropBox(seed: number, position: number, width: number, height: number): CropBox {
  const draws = randomUniforms(seed, 'crop', position, 2 * ATTEMPTS + 2);
  const [u, v] = [draws[2 * ATTEMPTS]!, draws[2 * ATTEMPTS + 1]!];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = (MIN_AREA + (1 - MIN_AREA) * draws[2 * attempt]!) * width * height;
    const aspect = Math.exp(LOG_MAX_ASPECT * (2 * draws[2 * attempt + 1]! - 1));
    const w = Math.sqrt(area * aspect) / width;
    const h = Math.sqrt(area / aspect) / height;
    if (w <= 1 && h <= 1) return { x: u * (1 - w), y: v * (1 - h), width: w, height: h };
  }
  const aspect = Math.min(Math.max(width / height, 3 / 4), 4 / 3);
  const w = Math.min(1, (aspect * height) / width);
  const h = Math.min(1, width / aspect / height);
  return { x: (1 - w) / 2, y: (1 - h) / 2, width: w, height: h };
}
