import { fieldError } from '@clipyard/contracts';
import { isResNet, type ModelConfig, parseModelConfig } from './model-config.js';

interface Named {
  readonly embed_dim: number;
  readonly quick_gelu?: boolean;
  readonly vision_cfg: object;
  readonly text_cfg: object;
}

const text = (width: number) => ({ context_length: 77, vocab_size: 49408, width, heads: width / 64, layers: 12 });
const vit = (embed: number, image: number, patch: number, layers: number, width: number, textWidth: number): Named => ({
  embed_dim: embed,
  vision_cfg: { image_size: image, layers, width, patch_size: patch },
  text_cfg: text(textWidth),
});
const resnet = (embed: number, image: number, layers: number[], width: number, textWidth: number): Named => ({
  embed_dim: embed,
  vision_cfg: { image_size: image, layers, width, patch_size: null },
  text_cfg: text(textWidth),
});

/** Ours, for small machines. */
const SMALL: Readonly<Record<string, Named>> = {
  'clip-tiny': {
    embed_dim: 128,
    quick_gelu: true,
    vision_cfg: { image_size: 32, layers: 2, width: 128, patch_size: 8 },
    text_cfg: { context_length: 16, vocab_size: 512, width: 128, heads: 2, layers: 2 },
  },
  'clip-small': {
    embed_dim: 128,
    quick_gelu: true,
    vision_cfg: { image_size: 64, layers: 4, width: 192, patch_size: 8 },
    text_cfg: { context_length: 32, vocab_size: 8192, width: 192, heads: 3, layers: 4 },
  },
};

/** The paper's models by open_clip's names. */
const PAPER: Readonly<Record<string, Named>> = {
  RN50: resnet(1024, 224, [3, 4, 6, 3], 64, 512),
  RN101: resnet(512, 224, [3, 4, 23, 3], 64, 512),
  RN50x4: resnet(640, 288, [4, 6, 10, 6], 80, 640),
  RN50x16: resnet(768, 384, [6, 8, 18, 8], 96, 768),
  RN50x64: resnet(1024, 448, [3, 15, 36, 10], 128, 1024),
  'ViT-B-32': vit(512, 224, 32, 12, 768, 512),
  'ViT-B-16': vit(512, 224, 16, 12, 768, 512),
  'ViT-L-14': vit(768, 224, 14, 24, 1024, 768),
  'ViT-L-14-336': vit(768, 336, 14, 24, 1024, 768),
};

/** What open_clip adds to the name of a model with the activation that OpenAI trained it with. */
export const QUICK_GELU_SUFFIX = '-quickgelu';

/** Named models: ours, and the paper's with both activations. */
const PRESETS: Readonly<Record<string, Named>> = {
  ...SMALL,
  ...Object.fromEntries(
    Object.entries(PAPER).flatMap(([name, model]) => [
      [name, model],
      [`${name}${QUICK_GELU_SUFFIX}`, { ...model, quick_gelu: true }],
    ]),
  ),
};

export const presetNames = (): string[] => Object.keys(PRESETS);

/** The part of a spec's `model` that decides the architecture. */
export interface ModelChoice {
  readonly preset?: string;
  readonly config?: unknown;
  /** Instead of what the config says. */
  readonly patchDropout?: number;
  /** What training takes the statistics of a ResNet's batch norm over. */
  readonly batchNorm?: 'local' | 'global';
  /** Instead of what the config says. */
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

function switched(config: ModelConfig, { patchDropout, batchNorm, projection }: ModelChoice): ModelConfig {
  if (batchNorm === 'global' && !isResNet(config.vision_cfg)) {
    throw fieldError('model_config_invalid', {
      path: 'model.batchNorm',
      message: 'is for ResNets: a vision transformer has no batch norm',
      value: batchNorm,
      remedy: 'Leave it out.',
    });
  }
  if (patchDropout !== undefined && isResNet(config.vision_cfg)) {
    throw fieldError('model_config_invalid', {
      path: 'model.patchDropout',
      message: 'is for vision transformers: a ResNet has no patches',
      value: patchDropout,
      remedy: 'Leave it out.',
    });
  }
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
