import { z } from 'zod';
import { ClipyardError, fieldError } from '../errors.js';
import { fieldProblems } from '../field-problems.js';
import { checkpointSchema } from './checkpoint.js';
import { dataSourceSchema } from './data-source.js';
import { durationSchema } from './duration.js';
import { withoutTraining } from './evaluate-spec.js';
import { type EvaluationTask, evaluateSchema } from './evaluation.js';
import { runHealthSchema } from './health.js';
import { labelsSchema, nameSchema } from './identity.js';
import { lossSchema } from './loss.js';
import { memorySchema } from './memory.js';
import { modelSchema } from './model.js';
import { count, positive } from './numbers.js';
import { optimizerSchema, scheduleSchema } from './optimizer.js';
import { precisionSchema } from './precision.js';
import { resourcesSchema, restartsSchema } from './resources.js';

/**
 * The run spec, version 1: everything that decides what a run computes, stored whole with the job, defaults filled in.
 * Every field is documented in place; the reference page is made from these descriptions.
 */
export const runSpecSchema = z.strictObject({
  version: z.literal(1).describe('Version of the spec'),
  type: z
    .enum(['train', 'evaluate'])
    .default('train')
    .describe(
      '`evaluate`: measures the weights that `model.init` names by `evaluate.tasks` and trains nothing. Then `model.preset` and `model.config` may be missing where the weights bring their config, and so may `data.train`, `batch` and `duration`, which mean nothing but for tasks that learn from data.train',
    ),
  name: nameSchema,
  labels: labelsSchema,
  model: modelSchema,
  data: z
    .strictObject({
      train: dataSourceSchema.describe('Training samples'),
      eval: dataSourceSchema.optional().describe('Evaluation samples; default: none'),
      evalSamples: positive.max(1_000_000).default(1024).describe('At most this many evaluation samples are used'),
      augment: z
        .enum(['none', 'crop'])
        .default('none')
        .describe('`crop`: random resized crop of 90 to 100% of the picture'),
    })
    .describe('What it is trained on'),
  batch: z
    .strictObject({
      global: positive
        .max(1_048_576)
        .describe('Samples a step, over all ranks; never changes with the number of ranks'),
      micro: positive
        .max(65_536)
        .optional()
        .describe(
          'Samples that a rank encodes at once, to save memory: all are encoded again for the backward pass. Default: whatever is fastest, with the activations of the whole share kept',
        ),
    })
    .describe('Batch sizes, in samples'),
  duration: durationSchema.describe('How long to train: `steps`, `epochs` or `samples`'),
  optimizer: optimizerSchema,
  schedule: scheduleSchema,
  loss: lossSchema,
  precision: precisionSchema,
  memory: memorySchema,
  resources: resourcesSchema,
  checkpoint: checkpointSchema,
  evaluate: evaluateSchema,
  health: runHealthSchema,
  restarts: restartsSchema,
  seed: count.max(4_294_967_295).default(0).describe('Seed of initialisation, sample order and augmentation'),
});

export type RunSpec = z.infer<typeof runSpecSchema>;
export type RunSpecInput = z.input<typeof runSpecSchema>;

/** Validates a run spec and fills in its defaults. Throws `spec_invalid`, `spec_version_unsupported` or `batch_not_divisible` with every wrong field named. */
export function parseRunSpec(input: unknown): RunSpec {
  if (typeof input === 'object' && input !== null && 'version' in input && input.version !== 1) {
    throw fieldError('spec_version_unsupported', {
      path: 'version',
      message: 'is not a version that this server reads',
      value: input.version,
      remedy: 'Use the number 1, or a server that reads this version.',
    });
  }
  const parsed = runSpecSchema.safeParse(withoutTraining(input));
  if (!parsed.success) {
    const fields = fieldProblems(parsed.error, input);
    throw new ClipyardError('spec_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), { fields });
  }
  refuseNul(parsed.data, '');
  checkAcrossFields(parsed.data);
  return deepFreeze(parsed.data);
}

/** PostgreSQL cannot store the character NUL. */
function refuseNul(value: unknown, path: string): void {
  if (typeof value === 'string') {
    if (!value.includes('\0')) return;
    throw fieldError('spec_invalid', {
      path,
      message: 'holds the character NUL',
      value: value.replaceAll('\0', '\ufffd'),
      remedy: 'Remove it.',
    });
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    refuseNul(key, path);
    refuseNul(inner, path === '' ? key : `${path}.${key}`);
  }
}

function checkAcrossFields(spec: RunSpec): void {
  const { preset, config, init } = spec.model;
  if (spec.type === 'evaluate') checkEvaluation(spec);
  const fromWeights = spec.type === 'evaluate' && init !== undefined && preset === undefined && config === undefined;
  if ((preset === undefined) === (config === undefined) && !fromWeights) {
    throw fieldError('spec_invalid', {
      path: 'model',
      message: preset === undefined ? 'has neither `preset` nor `config`' : 'has both `preset` and `config`',
      value: spec.model,
      remedy: 'Give exactly one of them.',
    });
  }
  const { min, max } = spec.resources.world;
  if (min > max) {
    throw fieldError('spec_invalid', {
      path: 'resources.world.min',
      message: `is larger than resources.world.max (${max})`,
      value: min,
      remedy: 'Make min at most max.',
    });
  }
  if (worldSizes(spec).length === 0) {
    throw fieldError('batch_not_divisible', {
      path: 'batch.global',
      message: `is not divisible by any number of ranks from ${min} to ${max}`,
      value: spec.batch.global,
      remedy: `Use a multiple of ${min}, such as ${Math.ceil(spec.batch.global / min) * min}.`,
    });
  }
  const { lock } = spec.model;
  if (lock.image && lock.text && lock.imageUnlockedGroups + lock.textUnlockedGroups === 0) {
    throw fieldError('spec_invalid', {
      path: 'model.lock',
      message: 'locks both towers, so that nothing is left to train',
      value: lock,
      remedy: 'Lock one of them, or give imageUnlockedGroups or textUnlockedGroups.',
    });
  }
  refuseIdleFields(spec);
  const { cooldownSteps, warmupSteps } = spec.schedule;
  // A warm-up alone may be longer than a short trial of the same spec.
  if (cooldownSteps > 0 && 'steps' in spec.duration && warmupSteps + cooldownSteps > spec.duration.steps) {
    throw fieldError('spec_invalid', {
      path: 'schedule.cooldownSteps',
      message: `and schedule.warmupSteps (${warmupSteps}) take more than duration.steps (${spec.duration.steps})`,
      value: cooldownSteps,
      remedy: 'Shorten them, or train for more steps.',
    });
  }
  const { global, micro } = spec.batch;
  if (micro !== undefined && global % micro !== 0) {
    throw fieldError('batch_not_divisible', {
      path: 'batch.global',
      message: `is not divisible by batch.micro (${micro})`,
      value: global,
      remedy: `Use a multiple of ${micro}, such as ${Math.ceil(global / micro) * micro}.`,
    });
  }
  if (micro !== undefined && spec.model.batchNorm === 'global') {
    throw fieldError('spec_invalid', {
      path: 'batch.micro',
      message:
        'encodes each micro-batch alone and anew, but model.batchNorm `global` takes all of them through each layer together',
      value: micro,
      remedy: 'Leave it out; memory.checkpointBlocks saves memory, too. Or set model.batchNorm to `local`.',
    });
  }
  refuseTasksOfOneName(spec.evaluate.tasks);
  const { corruptions, tasks } = spec.evaluate;
  if (corruptions !== undefined && !tasks.some((task) => task.type === 'zeroshot' || task.type === 'retrieval')) {
    throw fieldError('spec_invalid', {
      path: 'evaluate.corruptions',
      message: 'has no task of type `zeroshot` or `retrieval` to measure on corrupted pictures',
      value: corruptions,
      remedy: 'Name such a task, or leave it out.',
    });
  }
  if (spec.loss.maskDuplicates === 'image' && spec.data.augment !== 'none') {
    throw fieldError('spec_invalid', {
      path: 'loss.maskDuplicates',
      message: `compares pictures as they are trained on, and data.augment (${spec.data.augment}) makes equal ones differ`,
      value: 'image',
      remedy: 'Use `caption` or `none`, or data.augment `none`.',
    });
  }
  if (spec.evaluate.tasks.length > 0 && spec.data.eval === undefined) {
    throw fieldError('spec_invalid', {
      path: 'data.eval',
      message: 'is missing, but evaluate.tasks needs it',
      remedy: 'Name the evaluation data, or leave evaluate.tasks empty.',
    });
  }
}

/** Refuses what has an effect only beside something else: whoever set it expects one. */
function refuseIdleFields({ model: { lock }, schedule }: RunSpec): void {
  const { type, cooldownSteps, cooldownEnd, cooldownPower } = schedule;
  const coolsDown = type === 'constant-cooldown';
  const without = `with the ${type} schedule`;
  const remedy = 'Use schedule.type `constant-cooldown`, or leave it out.';
  const idle = [
    { path: 'schedule.cooldownSteps', value: cooldownSteps, idle: cooldownSteps > 0 && !coolsDown, without, remedy },
    { path: 'schedule.cooldownEnd', value: cooldownEnd, idle: cooldownEnd > 0 && !coolsDown, without, remedy },
    { path: 'schedule.cooldownPower', value: cooldownPower, idle: cooldownPower !== 1 && !coolsDown, without, remedy },
    ...(['image', 'text'] as const).map((tower) => ({
      path: `model.lock.${tower}UnlockedGroups`,
      value: lock[`${tower}UnlockedGroups`],
      idle: lock[`${tower}UnlockedGroups`] > 0 && !lock[tower],
      without: 'where the tower is not locked',
      remedy: `Set model.lock.${tower}: true, or leave it out.`,
    })),
  ].find((field) => field.idle);
  if (idle === undefined) return;
  const { path, value, without: where, remedy: instead } = idle;
  throw fieldError('spec_invalid', { path, message: `does nothing ${where}`, value, remedy: instead });
}

/** What an evaluation needs to have something to measure. */
function checkEvaluation({ model, evaluate, precision }: RunSpec): void {
  if (model.init === undefined) {
    throw fieldError('spec_invalid', {
      path: 'model.init',
      message: 'is missing, but an evaluation needs weights',
      remedy: 'Name a checkpoint as `job:<id>@<step>`, or a file as `file:<path>`.',
    });
  }
  if (evaluate.tasks.length === 0) {
    throw fieldError('spec_invalid', {
      path: 'evaluate.tasks',
      message: 'is empty, so there is nothing to evaluate',
      value: [],
      remedy: 'Name a task, such as `{ type: zeroshot }` or `{ type: retrieval }`.',
    });
  }
  if (precision.textWeights !== 'fp32') {
    throw fieldError('spec_invalid', {
      path: 'precision.textWeights',
      message: `is \`${precision.textWeights}\`, a format of weights between steps, but this job trains nothing`,
      value: precision.textWeights,
      remedy:
        'Leave it out: weights are measured as the checkpoint holds them. `precision.compute` rounds what is multiplied.',
    });
  }
  if (evaluate.mode === 'separate') {
    throw fieldError('spec_invalid', {
      path: 'evaluate.mode',
      message: 'is `separate`, but this job trains nothing that an evaluation could be separate from',
      value: evaluate.mode,
      remedy: 'Leave it out.',
    });
  }
}

/** Metrics are named for their task. */
function refuseTasksOfOneName(tasks: readonly EvaluationTask[]): void {
  const names = tasks.map(({ name, type }) => name ?? type);
  const again = names.findIndex((name, i) => names.indexOf(name) < i);
  if (again < 0) return;
  throw fieldError('spec_invalid', {
    path: `evaluate.tasks[${again}].name`,
    message: `is \`${names[again]}\`, as that of evaluate.tasks[${names.indexOf(names[again]!)}]`,
    value: names[again],
    remedy: 'Give each task a name of its own.',
  });
}

/** The world sizes that a run may have, ascending: those in [min, max], and where it trains those that divide the global batch. */
export function worldSizes(spec: Pick<RunSpec, 'type' | 'batch' | 'resources'>): number[] {
  const { min, max } = spec.resources.world;
  const sizes: number[] = [];
  for (let world = min; world <= max; world++)
    if (spec.type === 'evaluate' || spec.batch.global % world === 0) sizes.push(world);
  return sizes;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
