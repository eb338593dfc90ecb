import { z } from 'zod';

export const lossSchema = z
  .strictObject({
    type: z.literal('clip').default('clip').describe('Symmetric InfoNCE over the global batch'),
    initTemperature: z
      .number()
      .positive()
      .max(1)
      .default(0.07)
      .describe('Initial temperature; the logit scale starts at ln(1/temperature)'),
    maxLogitScale: z
      .number()
      .positive()
      .max(1000)
      .default(100)
      .describe('The logit scale is clamped to [0, ln of this]'),
  })
  .prefault({})
  .describe('Loss');
