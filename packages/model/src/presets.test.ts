import { parseRunSpec } from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { parseModelConfig, type ResNetConfig } from './model-config.js';
import { paperRecipe } from './paper-recipe.js';
import { counterNames, parameterCount, parameterSpecs } from './parameters.js';
import { presetNames, resolveModelConfig } from './presets.js';
import { normOrder } from './resnet-parameters.js';

const SIZES = new Map([
  // Sums of `numel` over open_clip's parameters of these names (open_clip 3.3.0).
  ['RN50', 102_007_137],
  ['RN101', 119_688_033],
  ['RN50x4', 178_300_601],
  ['RN50x16', 290_979_217],
  ['RN50x64', 623_258_305],
  ['ViT-B-32', 151_277_313],
  ['ViT-B-16', 149_620_737],
  ['ViT-L-14', 427_616_513],
  ['ViT-L-14-336', 427_944_193],
]);

describe('presets', () => {
  it.each([...SIZES])('%s has as many parameters as in open_clip', (preset, expected) => {
    for (const name of [preset, `${preset}-quickgelu`]) {
      const config = resolveModelConfig({ preset: name });
      expect(parameterCount(parameterSpecs(config))).toBe(expected);
    }
  });

  it("carry the paper's recipe, and ours none", () => {
    expect(presetNames().filter((name) => paperRecipe(name) === undefined)).toEqual(['clip-tiny', 'clip-small']);
    for (const name of presetNames()) {
      const recipe = paperRecipe(name);
      if (recipe === undefined) continue;
      const spec = parseRunSpec({ version: 1, name: 'paper', data: { train: { type: 'shapes' } }, ...recipe });
      expect(spec).toMatchObject({ batch: { global: 32_768 }, schedule: { warmupSteps: 2000 } });
    }
    expect(paperRecipe('RN50x64')?.optimizer).toEqual({ lr: 3.6e-4, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.2 });
    expect(paperRecipe('ViT-B-16-quickgelu')?.optimizer).toMatchObject({ betas: [0.9, 0.98], eps: 1e-6 });
  });
});

describe('initial parameters', () => {
  it("of a ResNet are as open_clip's: filters by their inputs, pooling by its width, blocks that begin as nothing", () => {
    const specs = parameterSpecs(resolveModelConfig({ preset: 'RN50' }));
    const init = Object.fromEntries(specs.map(({ name, init }) => [name, init]));
    const std = 2048 ** -0.5;
    expect(init['visual.conv1.weight']).toEqual({ type: 'uniform', bound: 27 ** -0.5 });
    expect(init['visual.layer1.0.conv2.weight']).toEqual({ type: 'uniform', bound: (64 * 9) ** -0.5 });
    expect(init['visual.bn3.weight']).toEqual({ type: 'constant', value: 1 });
    expect(init['visual.layer3.5.bn3.weight']).toEqual({ type: 'constant', value: 0 });
    expect(init['visual.layer3.0.downsample.1.weight']).toEqual({ type: 'constant', value: 1 });
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'c_proj'])
      expect(init[`visual.attnpool.${part}.weight`], part).toEqual({ type: 'normal', std });
    expect(init['visual.attnpool.positional_embedding']).toEqual({ type: 'normal', std });
    expect(init['visual.attnpool.c_proj.bias']).toEqual({ type: 'uniform', bound: std });
  });

  it('have a bias of the logits where the config gives one', () => {
    const config = parseModelConfig({ ...resolveModelConfig({ preset: 'clip-tiny' }), init_logit_bias: -10 });
    const bias = parameterSpecs(config).find(({ name }) => name === 'logit_bias');
    expect(bias).toEqual({ name: 'logit_bias', shape: [], init: { type: 'constant', value: -10 }, decay: false });
  });

  it('come with running statistics for each batch norm', () => {
    const config = resolveModelConfig({ preset: 'RN50' });
    expect(parameterSpecs(config).filter(({ running, frozen }) => running && frozen)).toHaveLength(2 * 55);
    expect(counterNames(config)).toHaveLength(55);
    expect(counterNames(resolveModelConfig({ preset: 'ViT-B-32' }))).toEqual([]);
    const { forward, backward } = normOrder(config.vision_cfg as ResNetConfig);
    const norms = counterNames(config).map((name) => name.replace('.num_batches_tracked', ''));
    for (const groups of [forward, backward]) {
      expect(groups).toHaveLength(51);
      expect(groups.flat().sort()).toEqual([...norms].sort());
    }
  });
});

it('only ResNets take batch norm over the global batch', () => {
  expect(resolveModelConfig({ preset: 'RN50', batchNorm: 'global' }).vision_cfg.layers).toEqual([3, 4, 6, 3]);
  expect(() => resolveModelConfig({ preset: 'ViT-B-32', batchNorm: 'global' })).toThrow(
    expect.objectContaining({
      code: 'model_config_invalid',
      fields: [expect.objectContaining({ path: 'model.batchNorm' })],
    }),
  );
});

describe('a model config', () => {
  const tiny = resolveModelConfig({ preset: 'clip-tiny' });
  const resnet = { image_size: 64, layers: [1, 1, 1, 1], width: 16 };

  it.each([
    ['vision_cfg.timm_model_name', { vision_cfg: { ...tiny.vision_cfg, timm_model_name: 'vit_base_patch16' } }],
    ['text_cfg.hf_model_name', { text_cfg: { ...tiny.text_cfg, hf_model_name: 'roberta' } }],
    ['vision_cfg.attentional_pool', { vision_cfg: { ...tiny.vision_cfg, attentional_pool: 'parallel' } }],
    ['multimodal_cfg', { multimodal_cfg: {} }],
    ['vision_cfg.pool_type', { vision_cfg: { ...tiny.vision_cfg, pool_type: 'map' } }],
    ['text_cfg.proj_type', { text_cfg: { ...tiny.text_cfg, width: 64, heads: 1, proj_type: 'none' } }],
    ['vision_cfg.image_size', { vision_cfg: { ...resnet, image_size: 48 } }],
    ['vision_cfg.width', { vision_cfg: { ...resnet, width: 15 } }],
    ['vision_cfg.head_width', { vision_cfg: { ...resnet, head_width: 96 } }],
    ['vision_cfg.mlp_ratio', { vision_cfg: { ...resnet, mlp_ratio: 4 } }],
  ])('is refused for its %s, by name', (field, part) => {
    expect(() => parseModelConfig({ ...tiny, ...part })).toThrow(
      expect.objectContaining({
        code: 'model_config_invalid',
        message: expect.stringContaining(field.split('.').at(-1)!),
      }),
    );
  });
});
