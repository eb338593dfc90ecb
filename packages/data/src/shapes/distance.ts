import type { ShapeName } from './vocabulary.js';

/**
 * Signed distance to a shape, negative inside, in units of half its side: the shape fills the square [-1, 1]^2, y down.
 * Exact near the outline, which is where anti-aliasing reads it.
 */
export type SignedDistance = (x: number, y: number) => number;

const length = (x: number, y: number): number => Math.sqrt(x * x + y * y);
const box = (x: number, y: number, halfWidth: number, halfHeight: number): number =>
  Math.max(Math.abs(x) - halfWidth, Math.abs(y) - halfHeight);

/** A half-plane through (px, py) with outward normal (nx, ny). */
const halfPlane = (px: number, py: number, nx: number, ny: number): SignedDistance => {
  const norm = length(nx, ny);
  return (x, y) => ((x - px) * nx + (y - py) * ny) / norm;
};

const triangleSide = halfPlane(0, -1, 1.84, -0.98);
const diamondSide = halfPlane(0, -1, 1, -0.8);

/** A five-pointed star of radius 1.05 with the inner radius 0.45 times that (Inigo Quilez, "2D distance functions", sdStar5). */
function star(px: number, py: number): number {
  const radius = 1.05;
  const inner = 0.45;
  const k1x = 0.809016994375;
  const k1y = -0.587785252292;
  let x = Math.abs(px);
  // Five points reach less far down than up.
  let y = 0.1 - py;
  const first = 2 * Math.max(k1x * x + k1y * y, 0);
  x -= first * k1x;
  y -= first * k1y;
  const second = 2 * Math.max(-k1x * x + k1y * y, 0);
  x += second * k1x;
  y -= second * k1y;
  x = Math.abs(x);
  y -= radius;
  const bax = inner * -k1y;
  const bay = inner * k1x - 1;
  const along = Math.min(Math.max((x * bax + y * bay) / (bax * bax + bay * bay), 0), radius);
  const distance = length(x - bax * along, y - bay * along);
  return y * bax - x * bay < 0 ? -distance : distance;
}

/** A heart (Inigo Quilez, "2D distance functions", sdHeart), scaled from its native height of about 1.1. */
function heart(px: number, py: number): number {
  const scale = 1.62;
  const x = Math.abs(px) / scale;
  const y = (0.9 - py) / scale;
  if (x + y > 1) return (length(x - 0.25, y - 0.75) - Math.SQRT2 / 4) * scale;
  const m = 0.5 * Math.max(x + y, 0);
  const distance = Math.min(length(x, y - 1), length(x - m, y - m));
  return (x < y ? -distance : distance) * scale;
}

export const DISTANCES: Readonly<Record<ShapeName, SignedDistance>> = {
  circle: (x, y) => length(x, y) - 0.96,
  square: (x, y) => box(x, y, 0.88, 0.88),
  triangle: (x, y) => Math.max(triangleSide(Math.abs(x), y), y - 0.84),
  diamond: (x, y) => diamondSide(Math.abs(x), -Math.abs(y)),
  star,
  heart,
  cross: (x, y) => Math.min(box(x, y, 0.94, 0.32), box(x, y, 0.32, 0.94)),
  ring: (x, y) => Math.abs(length(x, y) - 0.72) - 0.24,
};
