import type { CropBox } from '../image/crop-box.js';
import { DISTANCES } from './distance.js';
import type { Rgb, ShapeName } from './vocabulary.js';

export interface Drawing {
  readonly shape: ShapeName;
  readonly colour: Rgb;
  /** Grey level, 0 to 255. */
  readonly background: number;
  /** Centre of the shape, as shares of the picture's side. */
  readonly centreX: number;
  readonly centreY: number;
  /** Side of the shape, as a share of the picture's. */
  readonly side: number;
}

/**
 * Draws a shape with anti-aliased edges into a new [S, S, 3] array: a pixel's coverage falls from 1 to 0 over the
 * pixel's width around the outline. `view` draws only that part of the picture, stretched to S x S.
 */
export function drawShape(drawing: Drawing, imageSize: number, view: CropBox): Uint8Array {
  const { background, centreX, centreY, side } = drawing;
  const [red, green, blue] = drawing.colour;
  const distance = DISTANCES[drawing.shape];
  const half = side / 2;
  const stepX = view.width / imageSize;
  const stepY = view.height / imageSize;
  const pixelsPerUnit = half / Math.sqrt(stepX * stepY);
  const out = new Uint8Array(imageSize * imageSize * 3).fill(background);

  const columns = covered(centreX, half, view.x, stepX, imageSize);
  const rows = covered(centreY, half, view.y, stepY, imageSize);
  for (let row = rows.first; row < rows.end; row++) {
    const y = (view.y + (row + 0.5) * stepY - centreY) / half;
    for (let column = columns.first; column < columns.end; column++) {
      const x = (view.x + (column + 0.5) * stepX - centreX) / half;
      const coverage = 0.5 - distance(x, y) * pixelsPerUnit;
      if (coverage <= 0) continue;
      const alpha = coverage < 1 ? coverage : 1;
      const at = (row * imageSize + column) * 3;
      out[at] = background + alpha * (red - background) + 0.5;
      out[at + 1] = background + alpha * (green - background) + 0.5;
      out[at + 2] = background + alpha * (blue - background) + 0.5;
    }
  }
  return out;
}

/** The pixels of one axis that the shape's square touches, with one to spare for anti-aliasing. */
function covered(centre: number, half: number, from: number, step: number, imageSize: number) {
  const first = Math.floor((centre - half - from) / step) - 1;
  const end = Math.ceil((centre + half - from) / step) + 1;
  return { first: Math.max(0, first), end: Math.min(imageSize, end) };
}
