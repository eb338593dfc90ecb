import { l2Normalize, layerNorm, rows, type Tensor, tf } from '@clipyard/engine';
import { isResNet, type ModelConfig } from './model-config.js';
import type { KeptPatches } from './patch-dropout.js';
import { project, textPrefix } from './projection.js';
import { resnet, type TrainingNorm } from './resnet.js';
import { pooledPicker } from './text-pooling.js';
import { causalMask, type Parameters, transformer } from './transformer-block.js';
import { vit } from './vit.js';

/**
 * The two towers of CLIP (arXiv 2103.00020) in open_clip's structure. Legend: m samples, t tokens a sample, D embedding
 * dimension. Parameters come by open_clip's names.
 */

export interface TowerOptions {
  /** Whether the gradient forms the values within each block again, all but those of the last; default: they are kept. */
  readonly checkpointBlocks?: boolean | undefined;
}

export interface ImageTowerOptions extends TowerOptions {
  /** Default: all patches. */
  readonly kept?: KeptPatches | undefined;
  /** Default: batch norm works on the running statistics among the parameters. */
  readonly norm?: TrainingNorm | undefined;
}

/** Embeddings of length 1 [m,D] of pictures [m,S,S,3] (normalised, channels last). */
export const encodeImage = (
  config: ModelConfig,
  parameters: Parameters,
  images: Tensor,
  options: ImageTowerOptions = {},
): Tensor => projectImage(config, parameters, imageFeatures(config, parameters, images, options));

/** What the image tower gives before its projection, [m,`featureWidth`]: the features that linear probes read. */
export function imageFeatures(
  config: ModelConfig,
  parameters: Parameters,
  images: Tensor,
  { kept, norm, checkpointBlocks }: ImageTowerOptions = {},
): Tensor {
  const { vision_cfg: vision } = config;
  return isResNet(vision)
    ? resnet(vision, parameters, images, { training: norm, checkpointBlocks })
    : vit(vision, { quick: config.quick_gelu, checkpointBlocks }, parameters, images, kept);
}

/** Embeddings of length 1 [m,D] of image features. */
export const projectImage = (config: ModelConfig, parameters: Parameters, features: Tensor): Tensor =>
  l2Normalize(project(config, 'image', parameters, features));

/**
 * Embeddings of length 1 [m,D] of captions: `tokens` int32 [m,t]; `pooled` int32 [m], the row of each caption's token that
 * stands for it among all m·t rows, as `pooledRows` gives it. Without `pooled` the graph finds it itself.
 */
export function encodeText(
  config: ModelConfig,
  parameters: Parameters,
  tokens: Tensor,
  pooled?: Tensor,
  { checkpointBlocks }: TowerOptions = {},
): Tensor {
  const { context_length: length, width, heads, layers, norm_kwargs: { eps: epsilon } = {} } = config.text_cfg;
  const prefix = textPrefix(config);
  const p = (name: string): Tensor => parameters[`${prefix}${name}`]!;
  const samples = tokens.shape[0]!;
  const embedded = rows(p('token_embedding.weight'), tf.reshape(tokens, [samples * length]));
  const sequence = tf.add(tf.reshape(embedded, [samples, length, width]), p('positional_embedding'));
  const mask = config.text_cfg.no_causal_mask ? undefined : causalMask(length);
  const x = transformer(
    tf.reshape(sequence, [samples * length, width]),
    parameters,
    `${prefix}transformer.resblocks`,
    layers,
    { samples, tokens: length, width, heads, quick: config.quick_gelu, mask, epsilon, checkpointBlocks },
    pooled === undefined ? pooledPicker(config.text_cfg, tokens) : (all) => rows(all, pooled),
  );
  const features = layerNorm(x, p('ln_final.weight'), p('ln_final.bias'), epsilon);
  return l2Normalize(project(config, 'text', parameters, features));
}
