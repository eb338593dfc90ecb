import { z } from 'zod';
import { count, positive } from './numbers.js';

export const checkpointSchema = z
  .strictObject({
    everySteps: positive.default(200).describe('Steps between checkpoints'),
    keepLast: positive.max(1000).default(2).describe('Newest checkpoints to keep'),
    keepBest: count.max(1000).default(0).describe('Best checkpoints to keep besides, by `bestBy`'),
    bestBy: z
      .string()
      .default('loss')
      .describe('Metric that ranks checkpoints: lower is better for losses, higher for everything else'),
  })
  .prefault({})
  .describe('Checkpoints');
