import { z } from 'zod';

/** What the API tells of a checkpoint by running its model on the evaluation pictures of its job. */

const sample = z.object({
  /** In the data set; `GET /v1/checkpoints/:id/samples/:index` has the picture. */
  index: z.int(),
  caption: z.string(),
});

export const similaritySchema = z.object({
  /** The data that the pictures are of: training data where the job has no evaluation data. */
  source: z.enum(['data.eval', 'data.train']),
  /** Pictures and captions, from all over those that are looked at. */
  samples: z.array(sample),
  /** Cosine similarity of picture (row) and caption (column), -1 to 1. */
  matrix: z.array(z.array(z.number())),
  /** exp(logit scale): the factor on the similarities before the softmax. */
  logitScale: z.number(),
});
export type Similarity = z.infer<typeof similaritySchema>;

export const pictureMatchSchema = sample.extend({
  /** Cosine similarity to the text, -1 to 1. */
  similarity: z.number(),
  /** Whether its class was shown in training, where the data set knows. */
  group: z.enum(['seen', 'unseen']).nullable(),
});
export type PictureMatch = z.infer<typeof pictureMatchSchema>;

export const similarityQuerySchema = z.object({
  count: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(24)
    .describe('pictures, from all over those that are looked at'),
});

export const pictureSearchQuerySchema = z.object({
  text: z.string().min(1).max(1000).describe('to compare the pictures with'),
  limit: z.coerce.number().int().min(1).max(100).default(24).describe('most pictures'),
});
