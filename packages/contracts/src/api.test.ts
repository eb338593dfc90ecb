import { expect, it } from 'vitest';
import { checkpointSchema } from './api.js';

it.each(['../escaped', '/etc/passwd', 'a/b', '..', '.hidden', '', 'a\\b', 'a\0'])(
  'a checkpoint has no file of the name %j',
  (name) => {
    const files = checkpointSchema.shape.files;
    expect(files.safeParse([{ name, bytes: 1, sha256: 'a' }]).success).toBe(false);
    expect(files.safeParse([{ name: 'optim-0-of-2.safetensors', bytes: 1, sha256: 'a' }]).success).toBe(true);
  },
);
