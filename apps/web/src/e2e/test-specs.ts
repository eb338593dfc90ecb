import type { RunSpecInput } from '@clipyard/contracts';

/** A model that compiles in no time and trains some hundred steps a second. */
export const smallSpec = (name: string, steps: number, changes: Partial<RunSpecInput> = {}): RunSpecInput => ({
  version: 1,
  name,
  model: {
    config: {
      embed_dim: 16,
      quick_gelu: true,
      vision_cfg: { image_size: 16, layers: 1, width: 16, patch_size: 8, head_width: 8 },
      text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1 },
    },
  },
  data: { train: { type: 'shapes', samples: 400 }, eval: { type: 'shapes', samples: 200, seed: 1 }, evalSamples: 64 },
  batch: { global: 16 },
  duration: { steps },
  resources: { world: { min: 1, max: 1 } },
  evaluate: { tasks: [{ type: 'zeroshot' }] },
  ...changes,
});
