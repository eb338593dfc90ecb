import { ClipyardError, fieldProblems } from '@clipyard/contracts';
import { z } from 'zod';

const positive = z.int().positive();

const visionSchema = z.strictObject({
  image_size: positive.max(1024),
  layers: positive.max(128),
  width: positive.max(8192),
  patch_size: positive.max(128),
  head_width: positive.max(1024).default(64),
  mlp_ratio: z.number().positive().max(16).default(4),
  patch_dropout: z.number().min(0).lt(1).optional(),
});

const textSchema = z.strictObject({
  context_length: z.int().min(2).max(1024),
  vocab_size: z.int().min(4).max(1_000_000),
  width: positive.max(8192),
  heads: positive.max(256),
  layers: positive.max(128),
  mlp_ratio: z.number().positive().max(16).default(4),
});

const configSchema = z.strictObject({
  embed_dim: positive.max(8192),
  quick_gelu: z.boolean().default(false),
  /** Ours, not open_clip's: an MLP in place of each tower's linear projection. */
  projection: z.strictObject({ type: z.literal('mlp'), hidden: positive.max(65_536) }).optional(),
  /** With it, the model has a `logit_bias`, which starts there. */
  init_logit_bias: z.number().optional(),
  vision_cfg: visionSchema,
  text_cfg: textSchema,
});

/** open_clip's `model_cfg`, the part for a ViT with a text transformer, and `projection`. */
export type ModelConfig = z.infer<typeof configSchema>;

/** Validates a `model_cfg`. Throws `model_config_invalid` with every wrong field; `path` is where it stands in the input. */
export function parseModelConfig(input: unknown, path = 'model.config'): ModelConfig {
  const parsed = configSchema.safeParse(input);
  if (!parsed.success) {
    const fields = fieldProblems(parsed.error, input).map((field) => ({
      ...field,
      path: field.path === '(root)' ? path : `${path}.${field.path}`,
    }));
    throw new ClipyardError('model_config_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), {
      fields,
    });
  }
  const { vision_cfg: vision, text_cfg: text } = parsed.data;
  const fields = [
    ...multiple(`${path}.vision_cfg.image_size`, vision.image_size, 'patch_size', vision.patch_size),
    ...multiple(`${path}.vision_cfg.width`, vision.width, 'head_width', vision.head_width),
    ...multiple(`${path}.text_cfg.width`, text.width, 'heads', text.heads),
  ];
  if (fields.length > 0)
    throw new ClipyardError('model_config_invalid', fields.map((f) => `${f.path} ${f.message}`).join('; '), { fields });
  return parsed.data;
}

function multiple(path: string, value: number, divisorName: string, divisor: number) {
  if (value % divisor === 0) return [];
  return [
    {
      path,
      message: `is not a multiple of ${divisorName} (${divisor})`,
      value,
      remedy: `Use a multiple of ${divisor}.`,
    },
  ];
}
