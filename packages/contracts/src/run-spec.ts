import { z } from 'zod';
import { ClipyardError, type FieldProblem, fieldError } from './errors.js';

/**
 * The run spec, version 1: everything that decides what a run computes, stored whole with the job, defaults filled in.
 * Every field is documented in place; the reference page is made from these descriptions.
 */
const positive = z.int().positive();
const count = z.int().nonnegative();
const url = z.string().min(1).max(2048);

const badSamples = z
  .number()
  .min(0)
  .max(1)
  .default(0.01)
  .describe('Largest share of samples that may be unusable (undecodable picture, empty caption) before the run fails');

const shapesData = z.strictObject({
  type: z.literal('shapes').describe('Drawn pictures of coloured shapes with captions made from templates'),
  samples: positive.max(100_000_000).default(100_000).describe('Number of distinct samples'),
  seed: count.default(0).describe('Seed of the pictures and captions; train and eval data want different ones'),
  split: z
    .enum(['seen', 'unseen', 'all'])
    .default('seen')
    .describe('Which colour-shape pairs to draw: those shown in training, those held out, or all'),
});

const webdatasetData = z.strictObject({
  type: z
    .literal('webdataset')
    .describe('Tar shards in which files of one sample share a name and differ in extension'),
  urls: z
    .array(url)
    .min(1)
    .max(10_000)
    .describe('Shards, braces expanded: `emoji/{00000..00009}.tar`; relative to the data directory'),
  imageKeys: z
    .array(z.string())
    .default(['png', 'jpg', 'jpeg', 'webp', 'gif', 'avif', 'tiff'])
    .describe('Extensions that hold the picture'),
  captionKeys: z
    .array(z.string())
    .default(['txt', 'json'])
    .describe('Extensions that hold the caption, in order of preference'),
  captionField: z.string().default('caption').describe('The field of a .json file that holds the caption'),
  maxBadFraction: badSamples,
});

const csvData = z.strictObject({
  type: z.literal('csv').describe('A table of picture paths and captions, as open_clip reads it'),
  urls: z.array(url).min(1).max(10_000).describe('CSV or TSV files; relative to the data directory'),
  separator: z.string().length(1).default('\t').describe('Column separator'),
  imageColumn: z.string().default('filepath').describe('Column with the path of the picture, relative to the table'),
  captionColumn: z.string().default('title').describe('Column with the caption'),
  maxBadFraction: badSamples,
});

const syntheticData = z.strictObject({
  type: z.literal('synthetic').describe('Random pictures and captions, for measuring speed and memory'),
  samples: positive.max(1_000_000_000).default(1_000_000).describe('Number of distinct samples'),
  seed: count.default(0).describe('Seed of the samples'),
});

export const dataSourceSchema = z.discriminatedUnion('type', [shapesData, webdatasetData, csvData, syntheticData]);
export type DataSource = z.infer<typeof dataSourceSchema>;

const evaluationTask = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('zeroshot').describe('Zero-shot classification with prompt templates'),
    classes: z
      .array(z.string().min(1))
      .min(2)
      .max(10_000)
      .optional()
      .describe('Class names; default: those of the data set'),
    templates: z
      .array(z.string().includes('{}'))
      .min(1)
      .max(1000)
      .optional()
      .describe('Prompts with {} in place of the class; default: those of the data set'),
  }),
  z.strictObject({ type: z.literal('retrieval').describe('Image-to-text and text-to-image recall at 1, 5 and 10') }),
]);
export type EvaluationTask = z.infer<typeof evaluationTask>;

export const runSpecSchema = z.strictObject({
  version: z.literal(1).describe('Version of the spec'),
  name: z
    .string()
    .regex(
      /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/,
      'must be 1 to 100 letters, digits, dots, dashes or underscores, and begin with a letter or digit',
    )
    .describe('Name of the run, for people; need not be unique'),
  labels: z.record(z.string().min(1).max(63), z.string().max(255)).default({}).describe('Labels to filter by'),
  model: z
    .strictObject({
      preset: z.string().optional().describe('A named model, such as `clip-tiny` or `ViT-B-32`'),
      config: z
        .record(z.string(), z.unknown())
        .optional()
        .describe("open_clip's `model_cfg` JSON, instead of a preset"),
      tokenizer: z
        .enum(['word'])
        .default('word')
        .describe('`word`: one token a word, the vocabulary counted from the training captions'),
    })
    .describe('What is trained'),
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
        .describe('Samples that a rank encodes at once; default: its whole share. Less memory, more time'),
    })
    .describe('Batch sizes, in samples'),
  duration: z
    .union(
      [
        z.strictObject({ steps: positive.max(1_000_000_000) }),
        z.strictObject({ epochs: z.number().positive().max(1_000_000) }),
        z.strictObject({ samples: positive.max(1_000_000_000_000) }),
      ],
      'must be exactly one of `steps`, `epochs` and `samples`',
    )
    .describe('How long to train: `steps`, `epochs` or `samples`'),
  optimizer: z
    .strictObject({
      lr: z.number().positive().max(10).default(5e-4).describe('Peak learning rate'),
      betas: z
        .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
        .default([0.9, 0.98])
        .describe('Decay of the first and second moment'),
      eps: z.number().positive().default(1e-6).describe('Added to the root of the second moment'),
      weightDecay: z
        .number()
        .min(0)
        .max(10)
        .default(0.2)
        .describe('Decoupled weight decay, on everything that is neither gain nor bias'),
      clipNorm: z
        .number()
        .positive()
        .nullable()
        .default(null)
        .describe('Largest global norm of the gradient; null: no clipping'),
    })
    .prefault({})
    .describe('AdamW (Loshchilov and Hutter, arXiv 1711.05101)'),
  schedule: z
    .strictObject({
      type: z.enum(['cosine', 'constant']).default('cosine').describe('Shape of the learning rate after the warm-up'),
      warmupSteps: count.default(0).describe('Steps of linear warm-up from 0'),
    })
    .prefault({})
    .describe('Learning rate over time'),
  loss: z
    .strictObject({
      type: z.literal('clip').default('clip').describe('Symmetric InfoNCE over the global batch'),
      initTemperature: z
        .number()
        .positive()
        .max(1)
        .default(0.07)
        .describe('Initial temperature; the logit scale starts at ln(1/temperature)'),
      maxLogitScale: z
        .number()
        .positive()
        .max(1000)
        .default(100)
        .describe('The logit scale is clamped to [0, ln of this]'),
    })
    .prefault({})
    .describe('Loss'),
  precision: z
    .strictObject({
      compute: z.enum(['fp32']).default('fp32').describe('Arithmetic of the towers'),
      wire: z.enum(['fp32']).default('fp32').describe('Format of embeddings and gradients between ranks'),
    })
    .prefault({})
    .describe('Number formats'),
  resources: z
    .strictObject({
      world: z
        .strictObject({
          min: positive.max(4096).default(1).describe('Fewest ranks to run with'),
          max: positive.max(4096).default(1).describe('Most ranks to run with'),
        })
        .prefault({})
        .describe('Number of ranks'),
      pool: z.string().min(1).max(63).default('default').describe('Pool of nodes to run on'),
      priority: z.int().min(0).max(100).default(50).describe('0 to 100; higher runs first'),
      engine: z
        .enum(['auto', 'onnxruntime', 'tensorflow', 'cpu'])
        .default('auto')
        .describe('Compute engine; auto: tensorflow where it was built and finds a GPU, else onnxruntime'),
    })
    .prefault({})
    .describe('Where it runs'),
  checkpoint: z
    .strictObject({
      everySteps: positive.default(200).describe('Steps between checkpoints'),
      keepLast: positive.max(1000).default(2).describe('Newest checkpoints to keep'),
      keepBest: count.max(1000).default(0).describe('Best checkpoints to keep besides, by `bestBy`'),
      bestBy: z
        .string()
        .default('loss')
        .describe('Metric that ranks checkpoints: lower is better for losses, higher for everything else'),
    })
    .prefault({})
    .describe('Checkpoints'),
  evaluate: z
    .strictObject({
      everySteps: positive.nullable().default(null).describe('Steps between evaluations; null: only at the end'),
      tasks: z.array(evaluationTask).max(16).default([]).describe('What to measure on data.eval'),
    })
    .prefault({})
    .describe('Evaluation during and after training'),
  restarts: z
    .strictObject({
      infrastructure: count.max(10_000).default(100).describe('Restarts after faults of machines, networks or stores'),
      user: count.max(100).default(0).describe('Restarts after faults of the spec or the data'),
    })
    .prefault({})
    .describe('Restart budgets'),
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
  const parsed = runSpecSchema.safeParse(input);
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
  const { preset, config } = spec.model;
  if ((preset === undefined) === (config === undefined)) {
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
  const { global, micro } = spec.batch;
  if (micro !== undefined && global % micro !== 0) {
    throw fieldError('batch_not_divisible', {
      path: 'batch.global',
      message: `is not divisible by batch.micro (${micro})`,
      value: global,
      remedy: `Use a multiple of ${micro}, such as ${Math.ceil(global / micro) * micro}.`,
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

/** The world sizes that a run may have, ascending: those in [min, max] that divide the global batch. */
export function worldSizes(spec: Pick<RunSpec, 'batch' | 'resources'>): number[] {
  const { min, max } = spec.resources.world;
  const sizes: number[] = [];
  for (let world = min; world <= max; world++) if (spec.batch.global % world === 0) sizes.push(world);
  return sizes;
}

/** Zod's issues as our field problems; `hint` is the remedy where the issue itself names none. */
export function fieldProblems(
  error: z.ZodError,
  input: unknown,
  hint = 'Correct this value; the run spec reference documents each field.',
): FieldProblem[] {
  // A key that does not belong is told as a field of its own, so that its value is shown and not all around it.
  const issues = error.issues.flatMap<z.core.$ZodIssue>((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          ...issue,
          keys: [key],
          path: [...issue.path, key],
          message: 'is not a known field',
        }))
      : [issue],
  );
  return issues.map((issue) => {
    const path = issue.path.reduce<string>(
      (text, key) =>
        typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`,
      '',
    );
    const value = issue.path.reduce<unknown>(
      (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
      input,
    );
    const remedy =
      issue.code === 'unrecognized_keys'
        ? `Remove ${issue.keys.map((key) => `\`${key}\``).join(', ')}, or correct the spelling.`
        : issue.code === 'invalid_value'
          ? `Use one of: ${issue.values.map(String).join(', ')}.`
          : value === undefined
            ? 'Add this field.'
            : hint;
    return { path: path === '' ? '(root)' : path, message: issue.message, value, remedy };
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
