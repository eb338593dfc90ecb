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
    layerDecay: z
      .number()
      .positive()
      .max(1)
      .default(1)
      .describe('Learning rate of a layer relative to the layer above it, for fine-tuning; 1: all alike'),
    emaDecay: z
      .number()
      .min(0)
      .lt(1)
      .nullable()
      .default(null)
      .describe(
        'Keeps an exponential moving average of the weights, which is evaluated and saved besides: this part of it stays in a step, but at most (1 + step)/(10 + step); null: none',
      ),
    momentDtype: z
      .enum(['fp32', 'bf16', 'fp16'])
      .default('fp32')
      .describe('Format of the moments between steps; 16 bits halve their memory and their part of checkpoints'),
  })
  .prefault({})
  .describe('AdamW (Loshchilov and Hutter, arXiv 1711.05101)');

export const scheduleSchema = z
  .strictObject({
    type: z
      .enum(['cosine', 'constant', 'constant-cooldown'])
      .default('cosine')
      .describe('Shape of the learning rate after the warm-up'),
    warmupSteps: count.default(0).describe('Steps of linear warm-up from 0'),
    cooldownSteps: count
      .default(0)
      .describe('`constant-cooldown`: the last steps, in which the rate falls to `cooldownEnd`'),
    cooldownEnd: z.number().min(0).max(10).default(0).describe('`constant-cooldown`: the rate at the end'),
    cooldownPower: z
      .number()
      .positive()
      .max(10)
      .default(1)
      .describe('`constant-cooldown`: 1 falls linearly, more falls faster at first'),
  })
  .prefault({})
  .describe('Learning rate over time');
