import { z } from 'zod';
import { positive } from './numbers.js';

export const evaluationTaskSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('zeroshot').describe('Zero-shot classification with prompt templates'),
    classes: z
      .array(z.string().min(1))
      .min(2)
      .max(10_000)
      .optional()
      .describe('Class names; default: those of the data set'),
    templates: z
      .array(z.string().includes('{}'))
      .min(1)
      .max(1000)
      .optional()
      .describe('Prompts with {} in place of the class; default: those of the data set'),
  }),
  z.strictObject({ type: z.literal('retrieval').describe('Image-to-text and text-to-image recall at 1, 5 and 10') }),
]);
export type EvaluationTask = z.infer<typeof evaluationTaskSchema>;

export const evaluateSchema = z
  .strictObject({
    everySteps: positive.nullable().default(null).describe('Steps between evaluations; null: only at the end'),
    tasks: z.array(evaluationTaskSchema).max(16).default([]).describe('What to measure on data.eval'),
  })
  .prefault({})
  .describe('Evaluation during and after training');
