import { z } from 'zod';
import { count, positive } from './numbers.js';

export const prioritySchema = z.int().min(0).max(100);

export const resourcesSchema = z
  .strictObject({
    world: z
      .strictObject({
        min: positive.max(4096).default(1).describe('Fewest ranks to run with'),
        max: positive.max(4096).default(1).describe('Most ranks to run with'),
      })
      .prefault({})
      .describe('Number of ranks'),
    pool: z.string().min(1).max(63).default('default').describe('Pool of nodes to run on'),
    priority: prioritySchema.default(50).describe('0 to 100; higher runs first'),
    engine: z
      .enum(['auto', 'onnxruntime', 'tensorflow', 'cpu'])
      .default('auto')
      .describe(
        'Compute engine; auto: tensorflow where it was built and finds a GPU, else onnxruntime; any other: runs only on nodes that have it',
      ),
  })
  .prefault({})
  .describe('Where it runs');

export const restartsSchema = z
  .strictObject({
    infrastructure: count.max(10_000).default(100).describe('Restarts after faults of machines, networks or stores'),
    user: count.max(100).default(0).describe('Restarts after faults of the spec or the data'),
  })
  .prefault({})
  .describe('Restart budgets');
