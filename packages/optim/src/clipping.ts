import type { Cancellable, Group } from '@clipyard/contracts';

/** Euclidean norm of the whole gradient, of which each rank of `group` has a shard; summed in float64, the same on every rank. */
export async function gradientNorm(shard: Float32Array, group: Group, options: Cancellable = {}): Promise<number> {
  const total = Float64Array.of(sumOfSquares(shard));
  await group.allReduce(total, 'sum', options);
  return Math.sqrt(total[0]!);
}

/** Four sums side by side: each addition of one would wait for the one before. */
function sumOfSquares(values: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! * values[i]!;
    b += values[i + 1]! * values[i + 1]!;
    c += values[i + 2]! * values[i + 2]!;
    d += values[i + 3]! * values[i + 3]!;
  }
  for (let i = whole; i < values.length; i++) a += values[i]! * values[i]!;
  return a + b + (c + d);
}

/** What `torch.nn.utils.clip_grad_norm_` multiplies a gradient of norm `norm` by: at most 1. */
export const clipScale = (norm: number, maxNorm: number): number => Math.min(1, maxNorm / (norm + 1e-6));
