import { z } from 'zod';
import { positive } from './numbers.js';

/** A length of training, in one of three units. */
export const durationSchema = z.union(
  [
    z.strictObject({ steps: positive.max(1_000_000_000) }),
    z.strictObject({ epochs: z.number().positive().max(1_000_000) }),
    z.strictObject({ samples: positive.max(1_000_000_000_000) }),
  ],
  'must be exactly one of `steps`, `epochs` and `samples`',
);
export type Duration = z.infer<typeof durationSchema>;
