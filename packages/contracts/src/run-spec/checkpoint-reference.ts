import { z } from 'zod';

const REFERENCE = /^(?:file:.+|job:[\w-]+(?:@\d{1,9})?)$/;

/** Names weights: `job:<id>`, `job:<id>@<step>` or `file:<path>`. */
export const checkpointReference = z
  .string()
  .max(1024)
  .regex(REFERENCE, 'must be `job:<id>`, `job:<id>@<step>` or `file:<path>`');
