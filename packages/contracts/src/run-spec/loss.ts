import { z } from 'zod';
import { checkpointReference } from './checkpoint-reference.js';

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

const distill = z
  .strictObject({
    from: checkpointReference.describe(
      "The teacher, named as in `model.init`; of a job that averages its weights, the average. Its pictures must have the size of the data's, its tokenizer must be the run's; all else may differ",
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
  .optional()
  .describe(
    "Distillation: adds, in both directions, the cross-entropy between the teacher's and the student's softmaxes over the global batch, as open_clip's DistillClipLoss; of all pairs, unsmoothed and unmasked. Default: none",
  );

/** Says of a field that only another type of loss has that it does. */
const strangerOf =
  (other: 'clip' | 'siglip', fields: readonly string[]): z.core.$ZodErrorMap =>
  (issue) =>
    issue.code === 'unrecognized_keys' && issue.keys.some((key) => fields.includes(key))
      ? `belongs to \`loss.type: ${other}\``
      : undefined;

const clipSchema = z.strictObject(
  {
    type: z
      .literal('clip')
      .optional()
      .default('clip')
      .describe('Symmetric InfoNCE over the global batch (arXiv 2103.00020)'),
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
    distill,
  },
  { error: strangerOf('siglip', ['initLogitBias']) },
);

const siglipSchema = z.strictObject(
  {
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
  },
  { error: strangerOf('clip', ['labelSmoothing', 'distill']) },
);

export const lossSchema = z
  .discriminatedUnion('type', [clipSchema, siglipSchema], {
    error: (issue) => (issue.code === 'invalid_union' ? 'must be `clip` or `siglip`' : undefined),
  })
  .prefault({})
  .describe('Loss; without a `type` it is `clip`');
