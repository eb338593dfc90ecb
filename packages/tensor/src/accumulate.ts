import assert from 'node:assert';

/** `target += source`, element by element, in float32. */
export function addInto(target: Float32Array, source: Float32Array): void {
  assert(target.length === source.length, 'target and source are equally long');
  for (let i = 0; i < target.length; i++) target[i] = target[i]! + source[i]!;
}
