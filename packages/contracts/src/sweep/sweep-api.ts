import { z } from 'zod';
import { projectSchema } from '../access.js';
import { pageQuerySchema } from '../api.js';
import { durationSchema } from '../run-spec/duration.js';
import { JOB_STATES } from '../states.js';
import { sweepSpecSchema } from './sweep-spec.js';
import { SWEEP_STATES, TRIAL_STATES } from './sweep-states.js';

/** Sweeps and trials as resources of the REST API. Times are ISO 8601 in UTC. */
const time = z.iso.datetime();

/** What a trial had come to at the end of a rung. */
export const trialResultSchema = z.object({
  /** From 0. */
  rung: z.int(),
  /** Finished steps. */
  step: z.int(),
  objective: z.number(),
  /** The metrics of objective and constraints. */
  metrics: z.record(z.string(), z.number()),
});
export type TrialResult = z.infer<typeof trialResultSchema>;

export const trialSchema = z.object({
  /** From 0. */
  index: z.int(),
  state: z.enum(TRIAL_STATES),
  reason: z.string().nullable(),
  /** By the path of each parameter. */
  values: z.record(z.string(), z.unknown()),
  jobId: z.string().nullable(),
  jobState: z.enum(JOB_STATES).nullable(),
  step: z.int(),
  totalSteps: z.int().nullable(),
  /** At the end of its last finished rung; null before the first. */
  objective: z.number().nullable(),
  /** Newest value of the metric of the objective; null before the first. */
  current: z.number().nullable(),
  /** By rung. */
  results: z.array(trialResultSchema),
});
export type Trial = z.infer<typeof trialSchema>;

export const sweepSchema = z.object({
  id: z.string(),
  name: z.string(),
  project: z.string(),
  state: z.enum(SWEEP_STATES),
  reason: z.string().nullable(),
  spec: sweepSpecSchema,
  /** Budget of each rung; the last is that of the whole trial. */
  rungs: z.array(durationSchema),
  /** Number of trials in each state. */
  trials: z.record(z.string(), z.int()),
  /** The best trial so far: of those that got furthest the one with the best objective; null before the first result. */
  best: z
    .object({ index: z.int(), jobId: z.string(), objective: z.number(), values: z.record(z.string(), z.unknown()) })
    .nullable(),
  createdAt: time,
  finishedAt: time.nullable(),
});
export type Sweep = z.infer<typeof sweepSchema>;

export const sweepListQuerySchema = pageQuerySchema.extend({
  project: projectSchema.optional(),
  state: z.enum(SWEEP_STATES).optional(),
});
