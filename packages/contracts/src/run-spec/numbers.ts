import { z } from 'zod';

/** Numbers as run specs have them. */
export const positive = z.int().positive();
export const count = z.int().nonnegative();
