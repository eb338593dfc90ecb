import {
  attention,
  checkpoint,
  geluLinear,
  l2Normalize,
  layerNorm,
  linear,
  matmul,
  normLinear,
  rows,
  silu,
  type Tensor,
  tf,
} from '@clipyard/engine';
import type { ModelConfig } from './model-config.js';
import type { KeptPatches } from './patch-dropout.js';
import { project } from './projection.js';

/**
 * The two towers of CLIP (arXiv 2103.00020) in open_clip's structure. Legend: m samples, t tokens a sample, w width,
 * h heads, D embedding dimension, n = m·t rows. Parameters come by open_clip's names.
 */
export type Parameters = Readonly<Record<string, Tensor>>;

interface Layout {
  readonly samples: number;
  readonly tokens: number;
  readonly width: number;
  readonly heads: number;
  readonly checkpointBlocks: boolean | undefined;
}

export interface TowerOptions {
  /** Whether the gradient forms the values within each block again, all but those of the last; default: they are kept. */
  readonly checkpointBlocks?: boolean | undefined;
}

export interface ImageTowerOptions extends TowerOptions {
  /** Default: all patches. */
  readonly kept?: KeptPatches | undefined;
}

/** In the GELU approximation x·σ(1.702 x) that OpenAI's CLIP was trained with. */
const QUICK_GELU = 1.702;

/** Picks the rows that are read after the last block: one a sample. */
type PickRows = (x_nw: Tensor) => Tensor;

/** Embeddings of length 1 [m,D] of pictures [m,S,S,3] (normalised, channels last), or of the `kept` patches of each. */
export function encodeImage(
  config: ModelConfig,
  parameters: Parameters,
  images: Tensor,
  options: ImageTowerOptions = {},
): Tensor {
  return projectImage(config, parameters, imageFeatures(config, parameters, images, options));
}

/** Embeddings of length 1 [m,D] of image features [m,w]. */
export function projectImage(config: ModelConfig, parameters: Parameters, features: Tensor): Tensor {
  return l2Normalize(project(config, 'image', parameters, features));
}

/** What the image tower gives before its projection, [m,w]: the features that linear probes read. */
export function imageFeatures(
  config: ModelConfig,
  parameters: Parameters,
  images: Tensor,
  { kept, checkpointBlocks }: ImageTowerOptions = {},
): Tensor {
  const { image_size: size, patch_size: patch, width, head_width: headWidth, layers } = config.vision_cfg;
  const samples = images.shape[0]!;
  const grid = size / patch;
  const count = kept === undefined ? grid * grid : kept.keptPatches.shape[0]! / samples;
  const tokens = count + 1;
  const p = (name: string): Tensor => parameters[`visual.${name}`]!;

  // A convolution with stride = kernel is a product of flattened patches, in PyTorch's order: channel, row, column.
  const patches = tf.reshape(
    tf.transpose(tf.reshape(images, [samples, grid, patch, grid, patch, 3]), [0, 1, 3, 5, 2, 4]),
    [samples * grid * grid, 3 * patch * patch],
  );
  const seen = kept === undefined ? patches : rows(patches, kept.keptPatches);
  const embedded = tf.matMul(seen, tf.reshape(p('conv1.weight'), [width, 3 * patch * patch]), false, true);
  const classToken = tf.tile(tf.reshape(p('class_embedding'), [1, 1, width]), [samples, 1, 1]);
  const sequence = tf.add(
    tf.concat([classToken, tf.reshape(embedded, [samples, count, width])], 1),
    kept === undefined
      ? p('positional_embedding')
      : tf.reshape(rows(p('positional_embedding'), kept.keptPositions), [samples, tokens, width]),
  );
  let x = layerNorm(tf.reshape(sequence, [samples * tokens, width]), p('ln_pre.weight'), p('ln_pre.bias'));

  const layout: Layout = { samples, tokens, width, heads: width / headWidth, checkpointBlocks };
  const classRows: PickRows = (all) =>
    tf.reshape(tf.slice(tf.reshape(all, [samples, tokens, width]), [0, 0, 0], [-1, 1, -1]), [samples, width]);
  for (let layer = 0; layer < layers; layer++) {
    x = block(
      x,
      parameters,
      `visual.transformer.resblocks.${layer}`,
      layout,
      config.quick_gelu,
      undefined,
      layer === layers - 1 ? classRows : undefined,
    );
  }
  return layerNorm(x, p('ln_post.weight'), p('ln_post.bias'));
}

/**
 * Embeddings of length 1 [m,D] of captions: `tokens` int32 [m,t]; `ends` int32 [m], the row of each caption's
 * end-of-text token among all m·t rows, as `endOfTextRows` gives it. Without `ends` the graph finds it itself.
 */
export function encodeText(
  config: ModelConfig,
  parameters: Parameters,
  tokens: Tensor,
  ends?: Tensor,
  { checkpointBlocks }: TowerOptions = {},
): Tensor {
  const { context_length: length, width, heads, layers } = config.text_cfg;
  const samples = tokens.shape[0]!;
  const embedded = rows(parameters['token_embedding.weight']!, tf.reshape(tokens, [samples * length]));
  const sequence = tf.add(tf.reshape(embedded, [samples, length, width]), parameters.positional_embedding!);
  let x = tf.reshape(sequence, [samples * length, width]) as Tensor;
  const mask = causalMask(length);
  const layout: Layout = { samples, tokens: length, width, heads, checkpointBlocks };
  const endRows: PickRows = ends === undefined ? endOfTextPicker(tokens) : (all) => rows(all, ends);
  for (let layer = 0; layer < layers; layer++) {
    x = block(
      x,
      parameters,
      `transformer.resblocks.${layer}`,
      layout,
      config.quick_gelu,
      mask,
      layer === layers - 1 ? endRows : undefined,
    );
  }
  const features = layerNorm(x, parameters['ln_final.weight']!, parameters['ln_final.bias']!);
  return l2Normalize(project(config, 'text', parameters, features));
}

/** For each row of `tokens` [m·t] the index of its largest token among all rows: end-of-text has the largest id. */
export function endOfTextRows(tokens: Int32Array, contextLength: number): Int32Array {
  const ends = new Int32Array(tokens.length / contextLength);
  for (let sample = 0; sample < ends.length; sample++) {
    let end = sample * contextLength;
    for (let i = end; i < (sample + 1) * contextLength; i++) if (tokens[i]! > tokens[end]!) end = i;
    ends[sample] = end;
  }
  return ends;
}

/** As `rows` at `endOfTextRows`, by a product with 1 at the first of the largest tokens and 0 elsewhere. */
function endOfTextPicker(tokens: Tensor): PickRows {
  const [samples, length] = tokens.shape as [number, number];
  // Exact: ids are far below 2^24.
  const ids = tf.cast(tokens, 'float32');
  const largest = tf.cast(tf.equal(ids, tf.max(ids, 1, true)), 'float32');
  const earlier = new Float32Array(length * length);
  for (let row = 0; row < length; row++) earlier.fill(1, row * length + row + 1, (row + 1) * length);
  const before = matmul(largest, tf.tensor(earlier, [length, length]));
  const first = tf.mul(largest, tf.cast(tf.equal(before, 0), 'float32'));
  return (all) => {
    const width = all.shape[1]!;
    const picked = matmul(tf.reshape(first, [samples, 1, length]), tf.reshape(all, [samples, length, width]));
    return tf.reshape(picked, [samples, width]);
  };
}

/** What the names of a block's parameters end with. */
const BLOCK_PARAMETERS = [
  ...['ln_1.weight', 'ln_1.bias', 'attn.in_proj_weight', 'attn.in_proj_bias', 'attn.out_proj.weight'],
  ...['attn.out_proj.bias', 'ln_2.weight', 'ln_2.bias', 'mlp.c_fc.weight', 'mlp.c_fc.bias', 'mlp.c_proj.weight'],
  'mlp.c_proj.bias',
];

/**
 * Residual attention block. The last one (with `pick`) is kept in any case: the backward pass begins with it, so forming it
 * again would spare nothing.
 */
function block(
  x: Tensor,
  parameters: Parameters,
  prefix: string,
  layout: Layout,
  quick: boolean,
  mask?: Tensor,
  pick?: PickRows,
): Tensor {
  if (!layout.checkpointBlocks || pick !== undefined)
    return plainBlock(x, parameters, prefix, layout, quick, mask, pick);
  const names = BLOCK_PARAMETERS.map((name) => `${prefix}.${name}`);
  return checkpoint(
    (x, weights, [mask]) => {
      const own = Object.fromEntries(names.map((name, i) => [name, weights[i]!]));
      return plainBlock(x, own, prefix, layout, quick, mask);
    },
    x,
    names.map((name) => parameters[name]!),
    mask === undefined ? [] : [mask],
  );
}

/** Pre-norm. With `pick`, what follows attention runs on the picked rows only. */
function plainBlock(
  x: Tensor,
  parameters: Parameters,
  prefix: string,
  layout: Layout,
  quick: boolean,
  mask?: Tensor,
  pick?: PickRows,
): Tensor {
  const { samples, tokens, width, heads } = layout;
  const p = (name: string): Tensor => parameters[`${prefix}.${name}`]!;
  const headWidth = width / heads;

  const qkv = normLinear(x, p('ln_1.weight'), p('ln_1.bias'), p('attn.in_proj_weight'), p('attn.in_proj_bias'));
  const byHead = tf.transpose(tf.reshape(qkv, [samples, tokens, 3 * heads, headWidth]), [0, 2, 1, 3]);
  const [q, k, v] = tf.split(byHead, 3, 1).map((part) => tf.reshape(part, [samples * heads, tokens, headWidth])) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const mixed = tf.reshape(attention(q, k, v, mask), [samples, heads, tokens, headWidth]);
  let attended = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [samples * tokens, width]) as Tensor;

  let residual = x;
  if (pick !== undefined) {
    attended = pick(attended);
    residual = pick(residual);
  }
  const afterAttention = linear(attended, p('attn.out_proj.weight'), p('attn.out_proj.bias'), residual);
  // x·σ(1.702 x) is silu(1.702 x) / 1.702, and linear layers scale for nothing.
  const scale = quick ? QUICK_GELU : 1;
  const [gain, bias] = [p('ln_2.weight'), p('ln_2.bias')];
  const hidden = normLinear(afterAttention, gain, bias, p('mlp.c_fc.weight'), p('mlp.c_fc.bias'), scale);
  const [weight, offset] = [p('mlp.c_proj.weight'), p('mlp.c_proj.bias')];
  return quick
    ? linear(silu(hidden), weight, offset, afterAttention, 1 / scale)
    : geluLinear(hidden, weight, offset, afterAttention);
}

/** [1,t,t] to add to scores: a token sees itself and what is before it. */
function causalMask(tokens: number): Tensor {
  const mask = new Float32Array(tokens * tokens);
  for (let row = 0; row < tokens; row++) mask.fill(-1e9, row * tokens + row + 1, (row + 1) * tokens);
  return tf.tensor(mask, [1, tokens, tokens]);
}
