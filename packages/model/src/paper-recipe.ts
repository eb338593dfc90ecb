import type { RunSpecInput } from '@clipyard/contracts';
import { QUICK_GELU_SUFFIX } from './presets.js';

/** The part of a run spec that the paper gives for a model. */
export type PaperRecipe = Required<
  Pick<RunSpecInput, 'model' | 'batch' | 'duration' | 'optimizer' | 'schedule' | 'loss'>
>;

/** Peak learning rates: tables 19 and 20. */
const LEARNING_RATES: Readonly<Record<string, number>> = {
  RN50: 5e-4,
  RN101: 5e-4,
  RN50x4: 5e-4,
  RN50x16: 4e-4,
  RN50x64: 3.6e-4,
  'ViT-B-32': 5e-4,
  'ViT-B-16': 5e-4,
  'ViT-L-14': 4e-4,
  'ViT-L-14-336': 2e-5,
};

const EPOCHS = 32;
/** ViT-L/14-336 is ViT-L/14, trained one epoch more on larger pictures (section 3.2). */
const EPOCHS_AT_336 = 1;

/**
 * What the paper (arXiv 2103.00020, tables 18 to 20, written from memory and not compared with it) trained a preset with; undefined for models that are not the paper's.
 * Takes the name with or without `-quickgelu`.
 */
export function paperRecipe(preset: string): PaperRecipe | undefined {
  const name = preset.endsWith(QUICK_GELU_SUFFIX) ? preset.slice(0, -QUICK_GELU_SUFFIX.length) : preset;
  const lr = Object.hasOwn(LEARNING_RATES, name) ? LEARNING_RATES[name] : undefined;
  if (lr === undefined) return undefined;
  const isResNet = name.startsWith('RN');
  return {
    model: { preset },
    batch: { global: 32_768 },
    duration: { epochs: name.endsWith('-336') ? EPOCHS_AT_336 : EPOCHS },
    optimizer: { lr, betas: isResNet ? [0.9, 0.999] : [0.9, 0.98], eps: isResNet ? 1e-8 : 1e-6, weightDecay: 0.2 },
    schedule: { type: 'cosine', warmupSteps: 2000 },
    loss: { type: 'clip', initTemperature: 0.07, maxLogitScale: 100 },
  };
}
