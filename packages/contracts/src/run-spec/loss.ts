import { z } from 'zod';

const maxLogitScale = z
  .number()
  .positive()
  .max(1000)
  .default(100)
  .describe('The logit scale is clamped to [0, ln of this]');

const maskDuplicates = z
  .enum(['none', 'caption', 'image'])
  .default('none')
  .describe(
    'Samples of the global batch with the same `caption` (token by token) or `image` (byte by byte) are no negatives of one another: such pairs count for nothing, each sample keeps its own pair',
  );

const initTemperature = z.number().positive().max(1);

export const distillSchema = z
  .strictObject({
    from: z
      .string()
      .regex(
        /^(job:[A-Za-z0-9_-]{1,64}@[0-9]{1,10}|file:.{1,2048})$/,
        'must be `job:<id>@<step>`, a checkpoint, or `file:<path>`, a directory with the files of one',
      )
      .describe(
        'The teacher: `job:<id>@<step>`, a checkpoint of this server, or `file:<path>`, a directory with the files of one, relative to the data directory. It must read pictures and tokens as the student does',
      ),
    weight: z.number().positive().max(1000).default(1).describe("Factor on the distillation's loss"),
    temperature: z
      .number()
      .positive()
      .max(100)
      .default(1)
      .describe(
        "Divides the teacher's and the student's logits in the distillation, whose loss is multiplied by its square (arXiv 1503.02531)",
      ),
  })
  .describe(
    "Adds, in both directions, the cross-entropy between the teacher's and the student's softmaxes over the global batch, as open_clip's DistillClipLoss",
  );
export type Distill = z.infer<typeof distillSchema>;

/** Says of a field that only another type of loss has that it does. */
const strangerOf =
  (other: 'clip' | 'siglip', fields: readonly string[]): z.core.$ZodErrorMap =>
  (issue) =>
    issue.code === 'unrecognized_keys' && issue.keys.some((key) => fields.includes(key))
      ? `belongs to \`loss.type: ${other}\``
      : undefined;

const clipSchema = z.strictObject({
  type: z.literal('clip').optional().default('clip').describe('Symmetric InfoNCE over the global batch (arXiv 2103.00020)'),
  initTemperature: initTemperature
    .default(0.07)
    .describe('Initial temperature; the logit scale starts at ln(1/temperature)'),
  maxLogitScale,
  labelSmoothing: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('Share of each target that is spread evenly over all pairs of its row'),
  maskDuplicates,
  distill: distillSchema.optional(),
});

const siglipSchema = z.strictObject({
  type: z
    .literal('siglip')
    .describe(
      "SigLIP's sigmoid loss over all pairs of the global batch, their sum divided by its size (arXiv 2303.15343)",
    ),
  initTemperature: initTemperature
    .default(0.1)
    .describe('Initial temperature; the logit scale starts at ln(1/temperature)'),
  initLogitBias: z
    .number()
    .min(-1000)
    .max(1000)
    .default(-10)
    .describe('Where the bias on all logits, which is learnt, starts'),
  maxLogitScale,
  maskDuplicates,
});

export const lossSchema = z
  .discriminatedUnion('type', [clipSchema, siglipSchema])
  .prefault({})
  .describe('Loss');
