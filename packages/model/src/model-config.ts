import { ClipyardError, fieldProblems } from '@clipyard/contracts';
import { z } from 'zod';

const positive = z.int().positive();

const norm = z.strictObject({ eps: z.number().positive().max(1).describe('Added to variances before the root.') });

const vitSchema = z.strictObject({
  image_size: positive.max(1024),
  layers: positive.max(128),
  width: positive.max(8192),
  patch_size: positive.max(128),
  head_width: positive.max(1024).default(64),
  mlp_ratio: z.number().positive().max(16).default(4),
  patch_dropout: z.number().min(0).lt(1).optional(),
  no_ln_pre: z.boolean().optional(),
  pool_type: z.enum(['tok', 'avg']).optional(),
  final_ln_after_pool: z.boolean().optional(),
  attentional_pool: z.boolean().optional(),
  attn_pooler_queries: positive.max(4096).optional(),
  attn_pooler_heads: positive.max(256).optional(),
  norm_kwargs: norm.optional(),
});

const blocks = positive.max(128);

const resnetSchema = z.strictObject({
  image_size: positive.max(1024),
  layers: z.tuple([blocks, blocks, blocks, blocks]),
  width: positive.max(1024),
  head_width: positive.max(1024).default(64),
  patch_size: z.null().optional(),
});

const textSchema = z.strictObject({
  context_length: z.int().min(2).max(1024),
  vocab_size: z.int().min(4).max(1_000_000),
  width: positive.max(8192),
  heads: positive.max(256),
  layers: positive.max(128),
  mlp_ratio: z.number().positive().max(16).default(4),
  no_causal_mask: z.boolean().optional(),
  pool_type: z.enum(['argmax', 'eos', 'first', 'last']).optional(),
  eos_id: z.int().nonnegative().optional(),
  proj_type: z.enum(['linear', 'none']).optional(),
  proj_bias: z.boolean().optional(),
  norm_kwargs: norm.optional(),
});

const configSchema = <V extends z.ZodType>(vision: V) =>
  z.strictObject({
    embed_dim: positive.max(8192),
    quick_gelu: z.boolean().default(false),
    custom_text: z.boolean().optional(),
    /** With it, the model has a `logit_bias`, which starts there. */
    init_logit_bias: z.number().optional(),
    /** Ours, not open_clip's: an MLP in place of each tower's linear projection. */
    projection: z.strictObject({ type: z.literal('mlp'), hidden: positive.max(65_536) }).optional(),
    vision_cfg: vision,
    text_cfg: textSchema,
  });

const vitModelSchema = configSchema(vitSchema);
const resnetModelSchema = configSchema(resnetSchema);

/** A vision transformer. */
export type VitConfig = z.infer<typeof vitSchema>;
/** The modified ResNet of CLIP: `layers` are the blocks of its four stages. */
export type ResNetConfig = z.infer<typeof resnetSchema>;
export type TextConfig = z.infer<typeof textSchema>;

/** open_clip's `model_cfg`, for the towers that are open_clip's own: none of timm or Hugging Face; and `projection`. */
export type ModelConfig = Omit<z.infer<typeof vitModelSchema>, 'vision_cfg'> & {
  vision_cfg: VitConfig | ResNetConfig;
};

export const isResNet = (vision: VitConfig | ResNetConfig): vision is ResNetConfig => typeof vision.layers !== 'number';

/** The side of the ResNet's last feature maps is the image's over this. */
const RESNET_REDUCTION = 32;

/** Width of what the image tower gives before its projection. */
export function featureWidth({ vision_cfg: vision, embed_dim: embed }: ModelConfig): number {
  if (isResNet(vision)) return resnetFeatures(vision);
  return vision.attentional_pool ? embed : vision.width;
}

/** Width of the last feature maps of a ResNet. */
export const resnetFeatures = (vision: ResNetConfig): number => vision.width * RESNET_REDUCTION;

/** Validates a `model_cfg`. Throws `model_config_invalid` with every wrong field; `path` is where it stands in the input. */
export function parseModelConfig(input: unknown, path = 'model.config'): ModelConfig {
  const { layers } = Object((input as { vision_cfg?: unknown } | null | undefined)?.vision_cfg) as { layers?: unknown };
  const parsed = (Array.isArray(layers) ? resnetModelSchema : vitModelSchema).safeParse(input);
  if (!parsed.success) {
    const fields = fieldProblems(parsed.error, input).map((field) => ({
      ...field,
      path: field.path === '(root)' ? path : `${path}.${field.path}`,
    }));
    throw new ClipyardError('model_config_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), {
      fields,
    });
  }
  const config: ModelConfig = parsed.data;
  const fields = [...visionProblems(config, `${path}.vision_cfg`), ...textProblems(config, `${path}.text_cfg`)];
  if (fields.length > 0)
    throw new ClipyardError('model_config_invalid', fields.map((f) => `${f.path} ${f.message}`).join('; '), { fields });
  return config;
}

interface Problem {
  readonly path: string;
  readonly message: string;
  readonly value: unknown;
  readonly remedy: string;
}

function visionProblems({ vision_cfg: vision, embed_dim: embed }: ModelConfig, path: string): Problem[] {
  if (isResNet(vision)) {
    return [
      ...multiple(`${path}.image_size`, vision.image_size, 'the reduction of a ResNet', RESNET_REDUCTION),
      ...multiple(`${path}.width`, vision.width, 'the halves of its stem', 2),
      ...divisor(`${path}.head_width`, vision.head_width, 'the width of the last stage', resnetFeatures(vision)),
    ];
  }
  const heads = vision.attn_pooler_heads ?? DEFAULT_POOLER.heads;
  return [
    ...multiple(`${path}.image_size`, vision.image_size, 'patch_size', vision.patch_size),
    ...multiple(`${path}.width`, vision.width, 'head_width', vision.head_width),
    ...(vision.attentional_pool ? divisor(`${path}.attn_pooler_heads`, heads, 'embed_dim', embed) : []),
    ...poolerProblems(vision, path),
  ];
}

/** open_clip's defaults of attention pooling. */
export const DEFAULT_POOLER = { queries: 256, heads: 8 } as const;

function poolerProblems(vision: VitConfig, path: string): Problem[] {
  const { attentional_pool: pool, pool_type: type, attn_pooler_queries: queries = DEFAULT_POOLER.queries } = vision;
  if (!pool || type !== 'avg' || queries > 1) return [];
  const message = 'has no mean: `pool_type` avg leaves the first query out';
  return [{ path: `${path}.attn_pooler_queries`, message, value: queries, remedy: 'Use 2 or more, or `tok`.' }];
}

function textProblems({ text_cfg: text, embed_dim: embed }: ModelConfig, path: string): Problem[] {
  const problems = multiple(`${path}.width`, text.width, 'heads', text.heads);
  if (text.proj_type === 'none' && text.width !== embed) {
    problems.push({
      path: `${path}.proj_type`,
      message: `is none, and the text width ${text.width} is not embed_dim (${embed})`,
      value: text.proj_type,
      remedy: 'Use linear, or make them equal.',
    });
  }
  return problems;
}

function multiple(path: string, value: number, divisorName: string, divisor: number): Problem[] {
  if (value % divisor === 0) return [];
  const message = `is not a multiple of ${divisorName} (${divisor})`;
  return [{ path, message, value, remedy: `Use a multiple of ${divisor}.` }];
}

function divisor(path: string, value: number, dividendName: string, dividend: number): Problem[] {
  if (dividend % value === 0) return [];
  const message = `does not divide ${dividendName} (${dividend})`;
  return [{ path, message, value, remedy: `Use a divisor of ${dividend}.` }];
}
