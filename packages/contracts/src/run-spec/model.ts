import { z } from 'zod';

export const modelSchema = z
  .strictObject({
    preset: z.string().optional().describe('A named model, such as `clip-tiny` or `ViT-B-32`'),
    config: z.record(z.string(), z.unknown()).optional().describe("open_clip's `model_cfg` JSON, instead of a preset"),
    tokenizer: z
      .enum(['word'])
      .default('word')
      .describe('`word`: one token a word, the vocabulary counted from the training captions'),
  })
  .describe('What is trained');
