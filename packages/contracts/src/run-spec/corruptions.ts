import { z } from 'zod';

export const CORRUPTION_TYPES = [
  'gaussian_noise',
  'shot_noise',
  'impulse_noise',
  'gaussian_blur',
  'pixelate',
  'jpeg',
  'contrast',
  'brightness',
  'occlusion',
] as const;
export type CorruptionType = (typeof CORRUPTION_TYPES)[number];

const SEVERITIES = [1, 2, 3, 4, 5];

const isDistinct = (values: readonly unknown[]): boolean => new Set(values).size === values.length;

export const corruptionsSchema = z
  .strictObject({
    types: z
      .array(z.enum(CORRUPTION_TYPES))
      .min(1)
      .refine(isDistinct, 'names a type twice')
      .default([...CORRUPTION_TYPES])
      .describe(
        `Some of \`${CORRUPTION_TYPES.join('`, `')}\`; all but the last as ImageNet-C has them (arXiv 1903.12261), \`occlusion\` is a grey square`,
      ),
    severities: z
      .array(z.int().min(1).max(5))
      .min(1)
      .refine(isDistinct, 'names a severity twice')
      .default(SEVERITIES)
      .describe('Some of 1 to 5, the strongest'),
  })
  .optional()
  .describe(
    'Measures the tasks of type `zeroshot` and `retrieval` on corrupted pictures too: the image tower runs once more for each type and severity. Default: not',
  );
