import { z } from 'zod';
import { positive } from './numbers.js';

export const runHealthSchema = z
  .strictObject({
    everySteps: positive
      .nullable()
      .default(50)
      .describe(
        'Steps between two measurements of the `health/…` metrics, by which most alarms are raised: entropies, alignment, uniformity, effective rank, duplicates, gradient norms by tower; null: none',
      ),
  })
  .prefault({})
  .describe('What is measured of a batch beside the loss, to tell whether the run learns');
