import { z } from 'zod';

export const precisionSchema = z
  .strictObject({
    compute: z.enum(['fp32']).default('fp32').describe('Arithmetic of the towers'),
    wire: z.enum(['fp32']).default('fp32').describe('Format of embeddings and gradients between ranks'),
  })
  .prefault({})
  .describe('Number formats');
