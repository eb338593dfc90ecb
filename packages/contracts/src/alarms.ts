import { z } from 'zod';

export interface AlarmKind {
  /** `error`: what is trained is worth little until it is seen to. */
  readonly severity: 'warning' | 'error';
  readonly title: string;
  readonly remedy: string;
}

/** What a run that goes wrong is warned of, by code; docs/guides/health.md says by which figures. */
export const ALARMS = {
  collapse: {
    severity: 'error',
    title: 'The embeddings have collapsed',
    remedy:
      'Lower optimizer.lr, lengthen schedule.warmupSteps or set optimizer.clipNorm, and start again from a checkpoint of before. Look whether the captions, or the pictures, are all alike.',
  },
  scale_at_clamp: {
    severity: 'warning',
    title: 'The logit scale stands at a bound of its range',
    remedy:
      'At the upper bound the loss can fall no further by sharper softmaxes: usual late in a run at 100; early, lower optimizer.lr or raise loss.maxLogitScale. At the lower bound, lower optimizer.lr or loss.initTemperature.',
  },
  false_negatives: {
    severity: 'warning',
    title: 'Many samples of a batch are each other’s false negatives',
    remedy:
      'Set loss.maskDuplicates to `caption` (or `image`), write more specific captions, or remove duplicates from the data.',
  },
  learning_rate: {
    severity: 'error',
    title: 'The run diverges: the learning rate is too high',
    remedy: 'Lower optimizer.lr, lengthen schedule.warmupSteps, or set optimizer.clipNorm (1.0 is usual).',
  },
  plateau: {
    severity: 'warning',
    title: 'The loss stays where guessing would be',
    remedy:
      'Look whether pictures and captions belong together. Else raise optimizer.lr, or lower it where the gradient norm is large; lengthen schedule.warmupSteps; use a larger batch.',
  },
  data_starvation: {
    severity: 'warning',
    title: 'The ranks wait for data',
    remedy:
      'Put the data on a faster disk, store smaller pictures, use fewer and larger shards, or give the workers more cores.',
  },
  straggler: {
    severity: 'warning',
    title: 'One rank holds up the others',
    remedy: 'Look what else runs on its host, at its clock and its temperature; drain the node if it stays slow.',
  },
} as const satisfies Readonly<Record<string, AlarmKind>>;

export type AlarmCode = keyof typeof ALARMS;

export const alarmSchema = z.object({
  code: z.enum(Object.keys(ALARMS) as [AlarmCode]),
  severity: z.enum(['warning', 'error']),
  /** Step whose report raised it. */
  sinceStep: z.int(),
  /** With the figures that raised it. */
  message: z.string(),
  remedy: z.string(),
});
export type Alarm = z.infer<typeof alarmSchema>;
