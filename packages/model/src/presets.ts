import { fieldError } from '@clipyard/contracts';
import { type ModelConfig, parseModelConfig } from './model-config.js';

const vit = (embed: number, vision: object, text: object, quickGelu = false): unknown => ({
  embed_dim: embed,
  quick_gelu: quickGelu,
  vision_cfg: vision,
  text_cfg: { context_length: 77, vocab_size: 49408, ...text },
});

const B_TEXT = { width: 512, heads: 8, layers: 12 };
const L_TEXT = { width: 768, heads: 12, layers: 12 };

/** Named models: ours for small machines, and open_clip's. */
const PRESETS: Readonly<Record<string, unknown>> = {
  'clip-tiny': vit(
    128,
    { image_size: 32, layers: 2, width: 128, patch_size: 8 },
    { context_length: 16, vocab_size: 512, width: 128, heads: 2, layers: 2 },
    true,
  ),
  'clip-small': vit(
    128,
    { image_size: 64, layers: 4, width: 192, patch_size: 8 },
    { context_length: 32, vocab_size: 8192, width: 192, heads: 3, layers: 4 },
    true,
  ),
  'ViT-B-32': vit(512, { image_size: 224, layers: 12, width: 768, patch_size: 32 }, B_TEXT),
  'ViT-B-32-quickgelu': vit(512, { image_size: 224, layers: 12, width: 768, patch_size: 32 }, B_TEXT, true),
  'ViT-B-16': vit(512, { image_size: 224, layers: 12, width: 768, patch_size: 16 }, B_TEXT),
  'ViT-L-14': vit(768, { image_size: 224, layers: 24, width: 1024, patch_size: 14 }, L_TEXT),
  'ViT-L-14-336': vit(768, { image_size: 336, layers: 24, width: 1024, patch_size: 14 }, L_TEXT),
};

export const presetNames = (): string[] => Object.keys(PRESETS);

/** The part of a spec's `model` that decides the architecture. */
export interface ModelChoice {
  readonly preset?: string;
  readonly config?: unknown;
  /** Instead of what the config says. */
  readonly patchDropout?: number;
  /** Likewise. */
  readonly projection?: { readonly type: 'linear' } | { readonly type: 'mlp'; readonly hidden: number };
}

/** The config that a spec's `model` names. Throws `preset_unknown` or `model_config_invalid`. */
export function resolveModelConfig(model: ModelChoice): ModelConfig {
  if (model.preset === undefined) return switched(parseModelConfig(model.config), model);
  if (!Object.hasOwn(PRESETS, model.preset)) {
    throw fieldError('preset_unknown', {
      path: 'model.preset',
      message: 'is not a preset',
      value: model.preset,
      remedy: `Use one of: ${presetNames().join(', ')}.`,
    });
  }
  return switched(parseModelConfig(PRESETS[model.preset], 'model.preset'), model);
}

function switched(config: ModelConfig, { patchDropout, projection }: ModelChoice): ModelConfig {
  const { projection: own, ...rest } = config;
  const head = projection ?? own;
  return {
    ...rest,
    ...(head?.type === 'mlp' && { projection: head }),
    vision_cfg: {
      ...config.vision_cfg,
      ...(patchDropout !== undefined && { patch_dropout: patchDropout }),
    },
  };
}
