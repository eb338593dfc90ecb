import { z } from 'zod';
import { corruptionsSchema } from './corruptions.js';
import { dataSourceSchema } from './data-source.js';
import { positive } from './numbers.js';

const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,39}$/,
    'must be 1 to 40 lower-case letters, digits, dashes or underscores, and begin with a letter or digit',
  )
  .optional()
  .describe('Its metrics are `eval/<name>/…`; default: the type. Two tasks of one type need names');

const template = z.string().includes('{}').max(1000);

const labelled = {
  train: dataSourceSchema
    .optional()
    .describe(
      'Samples with classes to learn from, a data source like data.eval, whose classes are found by name. Default: data.train',
    ),
  trainSamples: positive.max(1_000_000).default(4096).describe('At most this many of them, from the first on'),
};

export const evaluationTaskSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z
      .literal('zeroshot')
      .describe('Zero-shot classification: a class is the mean of the embeddings of its prompts'),
    name,
    classes: z
      .array(z.string().min(1).max(500))
      .min(2)
      .max(100_000)
      .optional()
      .describe('Class names; samples of other classes are left out. Default: the classes of data.eval'),
    templates: z
      .union(
        [z.literal('openai-80'), z.array(template).min(1).max(1000)],
        'must be `openai-80` or a list of prompts with {} in place of the class',
      )
      .optional()
      .describe(
        "Prompts with {} in place of the class, or `openai-80`: CLIP's 80 for ImageNet. Default: those of the data set, else `a photo of a {}`",
      ),
  }),
  z.strictObject({
    type: z
      .literal('retrieval')
      .describe('Image-to-text and text-to-image retrieval: recall at 1, 5 and 10, mean and median rank'),
    name,
  }),
  z.strictObject({
    type: z
      .literal('linear-probe')
      .describe(
        'Logistic regression on the features before the projection, its L2 strength chosen on a part of the samples that is held back (CLIP, appendix A.3)',
      ),
    name,
    ...labelled,
    validationFraction: z
      .number()
      .min(0.01)
      .max(0.9)
      .default(0.2)
      .describe('Share of the samples that the strength is chosen on; the last fit is on all'),
  }),
  z.strictObject({
    type: z
      .literal('few-shot')
      .describe('Logistic regression on a few samples of each class, on the features before the projection'),
    name,
    ...labelled,
    shots: z
      .array(positive.max(1024))
      .min(1)
      .max(16)
      .default([1, 2, 4, 8, 16])
      .describe('Samples of each class; one accuracy each'),
    draws: positive.max(100).default(3).describe('How often they are drawn anew; accuracies are means over draws'),
    strength: z.number().positive().max(1e9).default(1).describe('L2 strength, 1/C of scikit-learn'),
  }),
]);
export type EvaluationTask = z.infer<typeof evaluationTaskSchema>;

export const evaluateSchema = z
  .strictObject({
    everySteps: positive.nullable().default(null).describe('Steps between evaluations; null: only at the end'),
    mode: z
      .enum(['inline', 'separate'])
      .default('inline')
      .describe(
        '`inline`: the ranks evaluate, and training waits. `separate`: training goes on; the run writes a checkpoint at that step, which is kept until a job of type `evaluate`, queued with it, has measured it on slots that are free. Its figures become those of the run at that step',
      ),
    tasks: z.array(evaluationTaskSchema).max(16).default([]).describe('What to measure on data.eval'),
    corruptions: corruptionsSchema,
  })
  .prefault({})
  .describe('Evaluation during and after training');
