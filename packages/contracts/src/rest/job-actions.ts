import { z } from 'zod';
import { labelKeySchema, labelValueSchema, nameSchema } from '../run-spec/identity.js';
import { prioritySchema } from '../run-spec/resources.js';
import { JOB_STATES } from '../states.js';

/** What is asked of jobs and nodes that exist. */

/** Changes of a job, as JSON merge patch (RFC 7396): a label that is null goes. The spec stays as it was submitted. */
export const jobPatchSchema = z
  .strictObject({
    name: nameSchema.optional(),
    priority: prioritySchema.optional().describe('0 to 100; higher runs first'),
    labels: z
      .record(labelKeySchema, labelValueSchema.nullable())
      .optional()
      .describe('Labels to set; null removes one, those not named stay'),
  })
  .describe('Changes of a job');
export type JobPatch = z.infer<typeof jobPatchSchema>;

export const forkSchema = z
  .strictObject({
    checkpoint: z.string().max(64).optional().describe('Id of the checkpoint; default: the newest'),
    step: z.int().min(0).max(1_000_000_000).optional().describe('Its step, instead of its id'),
    resume: z
      .boolean()
      .default(false)
      .describe(
        'Goes on where the checkpoint was taken, with optimizer state, step and position in the data, as the job itself would; else it trains from step 0 on from the weights alone',
      ),
    set: z
      .record(z.string().min(1).max(200), z.unknown())
      .default({})
      .describe('Changed fields of the spec by their dotted paths, such as `optimizer.lr`; null removes one'),
  })
  .refine(({ checkpoint, step }) => checkpoint === undefined || step === undefined, {
    path: ['step'],
    error: 'names a checkpoint that `checkpoint` names, too',
  })
  .describe('A new job from a checkpoint');
export type Fork = z.infer<typeof forkSchema>;
export type ForkInput = z.input<typeof forkSchema>;

export const drainQuerySchema = z.object({
  evict: z
    .enum(['true', 'false'])
    .default('false')
    .describe('`true`: its jobs write a checkpoint and go on elsewhere; `false`: they go on there to their end'),
});

/** A job that waits for slots. */
export const queueEntrySchema = z.object({
  /** From 1, among the jobs that wait in its pool. */
  position: z.int(),
  jobId: z.string(),
  name: z.string(),
  state: z.enum(JOB_STATES),
  priority: z.int(),
  labels: z.record(z.string(), z.string()),
  pool: z.string(),
  /** The engine that its nodes must have; null: any will do. */
  engine: z.string().nullable(),
  world: z.object({ min: z.int(), max: z.int() }),
  /** Free slots that it could have now. */
  freeSlots: z.int(),
  /** What it waits for, for people. */
  why: z.string(),
  /** Not to be started before; null: at any time. */
  notBefore: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
});
export type QueueEntry = z.infer<typeof queueEntrySchema>;
