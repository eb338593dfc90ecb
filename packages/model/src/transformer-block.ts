import { attention, checkpoint, geluLinear, linear, normLinear, silu, type Tensor, tf } from '@clipyard/engine';

/**
 * What both towers are made of. Legend: m samples, t tokens a sample, w width, h heads, n = m·t rows. Parameters come by
 * open_clip's names.
 */
export type Parameters = Readonly<Record<string, Tensor>>;

export interface BlockOptions {
  /** m. */
  readonly samples: number;
  /** t. */
  readonly tokens: number;
  readonly width: number;
  readonly heads: number;
  /** x·σ(1.702 x) in place of GELU. */
  readonly quick: boolean;
  /** [1,t,t], added to the scores. */
  readonly mask?: Tensor | undefined;
  /** Of the norms; default PyTorch's. */
  readonly epsilon?: number | undefined;
  /** Whether the gradient forms the values within a block again; default: they are kept. */
  readonly checkpointBlocks?: boolean | undefined;
}

/** In the GELU approximation x·σ(1.702 x) that OpenAI's CLIP was trained with. */
const QUICK_GELU = 1.702;

/** Picks the rows that are read after the last block: one a sample. */
export type PickRows = (x_nw: Tensor) => Tensor;

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
  options: BlockOptions,
  isLast: boolean,
  pick?: PickRows,
): Tensor {
  if (!options.checkpointBlocks || isLast) return plainBlock(x, parameters, prefix, options, pick);
  const { mask, ...others } = options;
  const names = BLOCK_PARAMETERS.map((name) => `${prefix}.${name}`);
  return checkpoint(
    (x, weights, [mask]) => {
      const own = Object.fromEntries(names.map((name, i) => [name, weights[i]!]));
      return plainBlock(x, own, prefix, { ...others, mask });
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
  { samples, tokens, width, heads, quick, mask, epsilon }: BlockOptions,
  pick?: PickRows,
): Tensor {
  const p = (name: string): Tensor => parameters[`${prefix}.${name}`]!;
  const headWidth = width / heads;

  const [inWeight, inBias] = [p('attn.in_proj_weight'), p('attn.in_proj_bias')];
  const qkv = normLinear(x, p('ln_1.weight'), p('ln_1.bias'), inWeight, inBias, 1, epsilon);
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
  const hidden = normLinear(afterAttention, gain, bias, p('mlp.c_fc.weight'), p('mlp.c_fc.bias'), scale, epsilon);
  const [weight, offset] = [p('mlp.c_proj.weight'), p('mlp.c_proj.bias')];
  return quick
    ? linear(silu(hidden), weight, offset, afterAttention, 1 / scale)
    : geluLinear(hidden, weight, offset, afterAttention);
}

/** All blocks of a transformer over x_nw, named `prefix.0` and so on. */
export function transformer(
  x: Tensor,
  parameters: Parameters,
  prefix: string,
  layers: number,
  options: BlockOptions,
  pick?: PickRows,
): Tensor {
  let y = x;
  for (let layer = 0; layer < layers; layer++) {
    const isLast = layer === layers - 1;
    y = block(y, parameters, `${prefix}.${layer}`, options, isLast, isLast ? pick : undefined);
  }
  return y;
}

/** Of x_nw the rows of tokens `from` to `from + count` of each sample. */
export function pickTokens(x: Tensor, samples: number, from: number, count: number): Tensor {
  const [rows, width] = x.shape as [number, number];
  const byToken = tf.reshape(x, [samples, rows / samples, width]);
  return tf.reshape(tf.slice(byToken, [0, from, 0], [-1, count, -1]), [samples * count, width]);
}

/** x [m·t,w] by heads: [m·h,t,w/h]. */
export function splitHeads(x: Tensor, samples: number, heads: number): Tensor {
  const [rows, width] = x.shape as [number, number];
  const byToken = tf.reshape(x, [samples, rows / samples, heads, width / heads]);
  return tf.reshape(tf.transpose(byToken, [0, 2, 1, 3]), [samples * heads, rows / samples, width / heads]);
}

/** The inverse: [m·h,t,c] to [m·t,h·c]. */
export function joinHeads(x: Tensor, samples: number, heads: number): Tensor {
  const [, tokens, width] = x.shape as [number, number, number];
  const byHead = tf.reshape(x, [samples, heads, tokens, width]);
  return tf.reshape(tf.transpose(byHead, [0, 2, 1, 3]), [samples * tokens, heads * width]);
}

/** [1,t,t] to add to scores: a token sees itself and what is before it. */
export function causalMask(tokens: number): Tensor {
  const mask = new Float32Array(tokens * tokens);
  for (let row = 0; row < tokens; row++) mask.fill(-1e9, row * tokens + row + 1, (row + 1) * tokens);
  return tf.tensor(mask, [1, tokens, tokens]);
}
