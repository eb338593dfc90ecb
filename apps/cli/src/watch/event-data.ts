import { ATTEMPT_STATES, JOB_STATES, type JobEvent, RANK_STATES } from '@clipyard/contracts';
import { z } from 'zod';

const error = z.object({ code: z.string(), message: z.string() }).nullish();
const values = z.record(z.string(), z.number());
const sample = z.object({
  png: z.string(),
  caption: z.string(),
  predictions: z.array(z.object({ label: z.string(), probability: z.number() })),
  truth: z.string().optional(),
  group: z.string().optional(),
});

/** What the data of each type of event holds, as far as people are told of it. */
const schemas = {
  'job.state': z.object({ to: z.enum(JOB_STATES), reason: z.string().nullish(), error }),
  'attempt.state': z.object({ to: z.enum(ATTEMPT_STATES), worldSize: z.number().optional(), error }),
  'rank.state': z.object({ rank: z.number(), to: z.enum(RANK_STATES), error }),
  plan: z.object({
    totalSteps: z.number(),
    startStep: z.number(),
    parameters: z.number(),
    trainSamples: z.number(),
    engine: z.string(),
  }),
  metrics: z.object({ step: z.number(), values }),
  checkpoint: z.object({ step: z.number(), bytes: z.number(), url: z.string().optional() }),
  evaluation: z.object({ step: z.number(), final: z.boolean(), values, samples: z.array(sample).default([]) }),
  warning: z.object({ message: z.string() }),
  'job.edited': z.object({
    name: z.string().optional(),
    priority: z.number().optional(),
    labels: z.record(z.string(), z.string().nullable()).optional(),
  }),
  alarm: z.object({
    state: z.enum(['raised', 'cleared']),
    code: z.string(),
    step: z.number(),
    sinceStep: z.number(),
    message: z.string(),
    remedy: z.string(),
  }),
} as const;

export type EventData<T extends keyof typeof schemas> = z.infer<(typeof schemas)[T]>;
export type ReadEvent = { [T in keyof typeof schemas]: { type: T; data: EventData<T> } }[keyof typeof schemas];

/** The data of an event by its type; undefined when a newer server says what this command does not know. */
export function readEvent(event: JobEvent): ReadEvent | undefined {
  const parsed = schemas[event.type].safeParse(event.data);
  return parsed.success ? ({ type: event.type, data: parsed.data } as ReadEvent) : undefined;
}
