import { z } from 'zod';
import { count } from './numbers.js';

export const optimizerSchema = z
  .strictObject({
    lr: z.number().positive().max(10).default(5e-4).describe('Peak learning rate'),
    betas: z
      .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
      .default([0.9, 0.98])
      .describe('Decay of the first and second moment'),
    eps: z.number().positive().default(1e-6).describe('Added to the root of the second moment'),
    weightDecay: z
      .number()
      .min(0)
      .max(10)
      .default(0.2)
      .describe('Decoupled weight decay, on everything that is neither gain nor bias'),
    clipNorm: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('Largest global norm of the gradient; null: no clipping'),
  })
  .prefault({})
  .describe('AdamW (Loshchilov and Hutter, arXiv 1711.05101)');

export const scheduleSchema = z
  .strictObject({
    type: z.enum(['cosine', 'constant']).default('cosine').describe('Shape of the learning rate after the warm-up'),
    warmupSteps: count.default(0).describe('Steps of linear warm-up from 0'),
  })
  .prefault({})
  .describe('Learning rate over time');
