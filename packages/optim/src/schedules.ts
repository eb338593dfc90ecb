import type { RunSpec } from '@clipyard/contracts';

/**
 * Learning rate of step `step`, counted from 0 (the first step has a rate above 0): linear warm-up, then the schedule,
 * as open_clip's `cosine_lr`, `const_lr` and `const_lr_cooldown`.
 */
export function learningRate(
  { type, warmupSteps, cooldownSteps, cooldownEnd, cooldownPower }: RunSpec['schedule'],
  lr: number,
  step: number,
  totalSteps: number,
): number {
  if (step < warmupSteps) return (lr * (step + 1)) / warmupSteps;
  switch (type) {
    case 'constant':
      return lr;
    case 'constant-cooldown': {
      const start = totalSteps - cooldownSteps;
      if (step < start) return lr;
      return (1 - (step - start) / cooldownSteps) ** cooldownPower * (lr - cooldownEnd) + cooldownEnd;
    }
    case 'cosine':
      return 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / (totalSteps - warmupSteps))) * lr;
  }
}
