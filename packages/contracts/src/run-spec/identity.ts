import { z } from 'zod';

/** What a run goes by. */

export const nameSchema = z
  .string()
  .regex(
    /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/,
    'must be 1 to 100 letters, digits, dots, dashes or underscores, and begin with a letter or digit',
  )
  .describe('Name of the run, for people; need not be unique');

export const labelKeySchema = z.string().min(1).max(63);
export const labelValueSchema = z.string().max(255);
export const labelsSchema = z.record(labelKeySchema, labelValueSchema).default({}).describe('Labels to filter by');
