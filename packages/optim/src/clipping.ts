import type { Cancellable, Group } from '@clipyard/contracts';

/** Euclidean norm of the whole gradient, of which each rank of `group` has a shard; summed in float64, the same on every rank. */
export async function gradientNorm(shard: Float32Array, group: Group, options: Cancellable = {}): Promise<number> {
  let sum = 0;
  for (let i = 0; i < shard.length; i++) sum += shard[i]! * shard[i]!;
  const total = Float64Array.of(sum);
  await group.allReduce(total, 'sum', options);
  return Math.sqrt(total[0]!);
}

/** What `torch.nn.utils.clip_grad_norm_` multiplies a gradient of norm `norm` by: at most 1. */
export const clipScale = (norm: number, maxNorm: number): number => Math.min(1, maxNorm / (norm + 1e-6));
