import assert from 'node:assert';

/** `target += source`, element by element, in float32. */
export function addInto(target: Float32Array, source: Float32Array): void {
  assert(target.length === source.length, 'target and source are equally long');
  for (let i = 0; i < target.length; i++) target[i] = target[i]! + source[i]!;
}

/** `target *= factor`. */
export function scaleInPlace(target: Float32Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! * factor;
}

/** The sum of squares, added up in float64. */
export function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}

/** Whether any value is NaN or infinite. */
export function hasNonFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) return true;
  return false;
}
