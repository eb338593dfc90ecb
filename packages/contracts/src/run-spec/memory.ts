import { z } from 'zod';

export const memorySchema = z
  .strictObject({
    checkpointBlocks: z
      .boolean()
      .default(false)
      .describe(
        'The backward pass forms the values within each block of the towers, and the stem of a ResNet, again instead of keeping them (gradient checkpointing; Chen et al., arXiv 1604.06174): less memory for up to a third more computation, the same gradients but for rounding. The last block of a tower is kept: the backward pass begins with it',
      ),
  })
  .prefault({})
  .describe('What memory is saved with');
