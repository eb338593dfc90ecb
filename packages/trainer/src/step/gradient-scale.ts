import type { Cancellable, Group } from '@clipyard/contracts';

/**
 * Multiplies cotangents by the power of two that brings the largest of all ranks into [1/2, 1), and returns it: in fp16
 * small ones would vanish (Micikevicius et al., arXiv 1710.03740). Chosen by the cotangents alone, so that a run that is
 * resumed chooses the same. The gradient comes out as many times too large.
 */
export async function scaleGradient(
  cotangents: readonly Float32Array[],
  group: Group,
  options: Cancellable,
): Promise<number> {
  const largest = Float64Array.of(0);
  for (const values of cotangents) for (const value of values) largest[0] = Math.max(largest[0]!, Math.abs(value));
  await group.allReduce(largest, 'max', options);
  if (largest[0] === 0 || !Number.isFinite(largest[0])) return 1;
  const scale = 2 ** (-Math.floor(Math.log2(largest[0]!)) - 1);
  for (const values of cotangents) for (let i = 0; i < values.length; i++) values[i]! *= scale;
  return scale;
}
