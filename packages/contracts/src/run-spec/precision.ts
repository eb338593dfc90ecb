import { z } from 'zod';

export const precisionSchema = z
  .strictObject({
    compute: z
      .enum(['fp32', 'bf16', 'fp16'])
      .default('fp32')
      .describe(
        'What the towers round the operands of their products to while they train; sums are in fp32, and so is evaluation, but a job of type `evaluate` measures the weights in this precision. The rounding is emulated on every engine, to show what 16 bits would do to a run: it saves no time. fp16 scales the gradient by a power of two, chosen each step',
      ),
    textWeights: z
      .enum(['fp32', 'bf16', 'fp16'])
      .default('fp32')
      .describe(
        "Format of the text tower's matrices between steps, rounded stochastically after each; checkpoints hold them in it, in half the bytes, while ranks hold them widened to fp32",
      ),
    wire: z.enum(['fp32']).default('fp32').describe('Format of embeddings and gradients between ranks'),
  })
  .prefault({})
  .describe('Number formats');
