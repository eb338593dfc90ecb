import { attention, layerNorm, linear, rows, type Tensor, tf } from '@clipyard/engine';
import { DEFAULT_POOLER, type VitConfig } from './model-config.js';
import type { KeptPatches } from './patch-dropout.js';
import {
  type BlockOptions,
  joinHeads,
  type Parameters,
  pickTokens,
  splitHeads,
  transformer,
} from './transformer-block.js';

/**
 * The vision transformer with open_clip's ways of pooling, without its projection. Legend as in transformer-block.ts; D embedding dimension, r
 * queries of the attention pooling.
 */
export function vit(
  vision: VitConfig,
  { quick, checkpointBlocks }: Pick<BlockOptions, 'quick' | 'checkpointBlocks'>,
  parameters: Parameters,
  images: Tensor,
  kept?: KeptPatches,
): Tensor {
  const { image_size: size, patch_size: patch, width, norm_kwargs: { eps: epsilon } = {} } = vision;
  const samples = images.shape[0]!;
  const grid = size / patch;
  const count = kept === undefined ? grid * grid : kept.keptPatches.shape[0]! / samples;
  const tokens = count + 1;
  const p = (name: string): Tensor => parameters[`visual.${name}`]!;
  const norm = (x: Tensor, name: string): Tensor => layerNorm(x, p(`${name}.weight`), p(`${name}.bias`), epsilon);

  // A convolution with stride = kernel is a product of flattened patches, in PyTorch's order: channel, row, column.
  const patches = tf.reshape(
    tf.transpose(tf.reshape(images, [samples, grid, patch, grid, patch, 3]), [0, 1, 3, 5, 2, 4]),
    [samples * grid * grid, 3 * patch * patch],
  );
  const seen = kept === undefined ? patches : rows(patches, kept.keptPatches);
  const embedded = tf.matMul(seen, tf.reshape(p('conv1.weight'), [width, 3 * patch * patch]), false, true);
  const classToken = tf.tile(tf.reshape(p('class_embedding'), [1, 1, width]), [samples, 1, 1]);
  const positions =
    kept === undefined
      ? p('positional_embedding')
      : tf.reshape(rows(p('positional_embedding'), kept.keptPositions), [samples, tokens, width]);
  const embeddings = tf.concat([classToken, tf.reshape(embedded, [samples, count, width])], 1);
  const sequence = tf.reshape(tf.add(embeddings, positions), [samples * tokens, width]) as Tensor;
  const x = vision.no_ln_pre ? sequence : norm(sequence, 'ln_pre');

  const readsClassToken = !vision.attentional_pool && vision.pool_type !== 'avg';
  const options = { samples, tokens, width, heads: width / vision.head_width, quick, epsilon, checkpointBlocks };
  const y = transformer(
    x,
    parameters,
    'visual.transformer.resblocks',
    vision.layers,
    options,
    readsClassToken ? (all) => pickTokens(all, samples, 0, 1) : undefined,
  );
  return pooled();

  function pooled(): Tensor {
    if (vision.attentional_pool) {
      // Only the queries that are read: the first, or all others for their mean.
      const { attn_pooler_queries: queries = DEFAULT_POOLER.queries } = vision;
      const [from, count] = vision.pool_type === 'avg' ? [1, queries - 1] : [0, 1];
      const answers = norm(attentionPool(norm(y, 'attn_pool.ln_k'), from, count), 'ln_post');
      return meanOfRows(answers, samples);
    }
    if (readsClassToken) return norm(y, 'ln_post');
    const ofPatches = (all: Tensor): Tensor => meanOfRows(pickTokens(all, samples, 1, tokens - 1), samples);
    return vision.final_ln_after_pool ? norm(ofPatches(y), 'ln_post') : ofPatches(norm(y, 'ln_post'));
  }

  /** Queries `from` to `from + count` over x_nw: [m·count,D]. */
  function attentionPool(x: Tensor, from: number, count: number): Tensor {
    const { attn_pooler_heads: heads = DEFAULT_POOLER.heads } = vision;
    const query = norm(tf.slice(p('attn_pool.query'), [from, 0], [count, -1]), 'attn_pool.ln_q');
    const together = p('attn_pool.attn.in_proj_weight') as Tensor | undefined;
    const [wq, wk, wv] =
      together === undefined
        ? ['q', 'k', 'v'].map((name) => p(`attn_pool.attn.${name}_proj_weight`))
        : tf.split(together, 3, 0);
    const [bq, bk, bv] = tf.split(p('attn_pool.attn.in_proj_bias'), 3, 0);
    const q = tf.tile(splitHeads(linear(query, wq!, bq!), 1, heads), [samples, 1, 1]);
    const [k, v] = [linear(x, wk!, bk!), linear(x, wv!, bv!)].map((all) => splitHeads(all, samples, heads));
    const mixed = joinHeads(attention(q, k!, v!), samples, heads);
    return linear(mixed, p('attn_pool.attn.out_proj.weight'), p('attn_pool.attn.out_proj.bias'));
  }
}

/** [m·t,w] to [m,w]. */
function meanOfRows(x: Tensor, samples: number): Tensor {
  const [rows, width] = x.shape as [number, number];
  return rows === samples ? x : tf.mean(tf.reshape(x, [samples, rows / samples, width]), 1);
}
