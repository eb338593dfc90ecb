import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { matmul } from './fused.js';
import { type Save, withGradient } from './with-gradient.js';

/**
 * Attention, whole or in blocks of queries. Legend: h heads of all samples, t tokens, c width of a head, b queries of a
 * block.
 */

/**
 * Longest sequence whose probabilities [h,t,t] are kept for the backward pass. A layer keeps some 14 other numbers for
 * each of a token's c = 64 a head, so up to here the probabilities are a third of its memory at most; beyond it they
 * come to rule it.
 */
export const LONGEST_KEPT = 256;
/** Most queries of a block: enough rows for a matrix product to run at full speed. */
export const BLOCK_QUERIES = 128;

/**
 * softmax(q·kᵀ/√c + mask)·v for q, k, v [h,t,c]; `mask` [1,t,t] is added to the scores. Up to LONGEST_KEPT tokens the
 * probabilities are kept for the backward pass. Beyond, they are formed in blocks of at most BLOCK_QUERIES queries and
 * formed again for the gradient, so that memory grows linearly in t (Dao et al., arXiv 2205.14135).
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, mask?: Tensor): Tensor {
  const tokens = q.shape[1]!;
  return tokens <= LONGEST_KEPT ? wholeAttention(q, k, v, mask) : blockedAttention(q, k, v, mask);
}

/** `attention` that keeps all probabilities. */
export function wholeAttention(q: Tensor, k: Tensor, v: Tensor, mask?: Tensor): Tensor {
  const alpha = scaleOf(q);
  return withGradient(
    (...args) => {
      const [q, k, v, save] = args as unknown as [Tensor, Tensor, Tensor, Save];
      const probabilities = probabilitiesOf(q, k, mask);
      save([q, k, v, probabilities]);
      return {
        value: matmul(probabilities, v),
        gradFunc: (dy, saved) => {
          const [q, k, v, probabilities] = saved as [Tensor, Tensor, Tensor, Tensor];
          const dProbabilities = matmul(dy, v, { transposeB: true });
          const dScores = tf.mul(
            probabilities,
            tf.sub(dProbabilities, tf.sum(tf.mul(dProbabilities, probabilities), -1, true)),
          );
          return [
            matmul(dScores, k, { alpha }),
            matmul(dScores, q, { transposeA: true, alpha }),
            matmul(probabilities, dy, { transposeA: true }),
          ];
        },
      };
    },
    q,
    k,
    v,
  );
}

/**
 * `attention` that holds the probabilities of one block of queries at a time. A block sees all keys, so its softmax is
 * whole and needs no rescaling, and the backward pass needs nothing kept but q, k, v and the result.
 */
export function blockedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask?: Tensor,
  queries: number = BLOCK_QUERIES,
): Tensor {
  const blocks = blocksOf(q.shape[1]!, queries);
  return withGradient(
    (...args) => {
      const [q, k, v, save] = args as unknown as [Tensor, Tensor, Tensor, Save];
      const mixed: Tensor[] = [];
      for (const block of blocks) {
        const [q_b] = after(mixed.slice(-1), [rowsOf(q, block)]) as [Tensor];
        mixed.push(matmul(probabilitiesOf(q_b, k, maskOf(mask, block)), v));
      }
      const value = tf.concat(mixed, 1);
      save([q, k, v, value, ...(mask === undefined ? [] : [mask])]);
      return { value, gradFunc: (dy, saved) => gradients(dy, saved, blocks) };
    },
    q,
    k,
    v,
  );
}

/** With P the probabilities and D = rowsum(dO ∘ O): dS = P ∘ (dO·vᵀ − D), block by block; dk and dv add up. */
function gradients(dy: Tensor, saved: Tensor[], blocks: readonly Block[]): Tensor[] {
  const [q, k, v, value, mask] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor?];
  const alpha = scaleOf(q);
  const dots = tf.sum(tf.mul(dy, value), -1, true);
  const dq: Tensor[] = [];
  let dk: Tensor | undefined;
  let dv: Tensor | undefined;
  for (const block of blocks) {
    const done = dk === undefined ? [] : [dq.at(-1)!, dk, dv!];
    const [q_b, dy_b] = after(done, [rowsOf(q, block), rowsOf(dy, block)]) as [Tensor, Tensor];
    const probabilities = probabilitiesOf(q_b, k, maskOf(mask, block));
    const dScores = tf.mul(probabilities, tf.sub(matmul(dy_b, v, { transposeB: true }), rowsOf(dots, block)));
    dq.push(matmul(dScores, k, { alpha }));
    const dk_b = matmul(dScores, q_b, { transposeA: true, alpha });
    const dv_b = matmul(probabilities, dy_b, { transposeA: true });
    dk = dk === undefined ? dk_b : tf.add(dk, dk_b);
    dv = dv === undefined ? dv_b : tf.add(dv, dv_b);
  }
  return [tf.concat(dq, 1), dk!, dv!];
}

interface Block {
  readonly from: number;
  readonly size: number;
}

/** Blocks of nearly equal size. */
function blocksOf(tokens: number, queries: number): Block[] {
  const size = Math.ceil(tokens / Math.ceil(tokens / queries));
  return Array.from({ length: Math.ceil(tokens / size) }, (_, i) => ({
    from: i * size,
    size: Math.min(size, tokens - i * size),
  }));
}

/**
 * The values, which can be had only after `done`: all are [h,·,c], and pass through one concatenation together. A runtime
 * may order a graph as it likes; without this, ONNX Runtime forms the probabilities of several blocks before it uses
 * the first. With values of several passes it also keeps them apart, else equal expressions would be computed once and kept.
 */
function after(done: readonly Tensor[], values: readonly Tensor[]): Tensor[] {
  if (done.length + values.length === 1) return [...values];
  const rows = done.map((tensor) => rowsOf(tensor, { from: 0, size: 1 }));
  const all = [...values, ...rows];
  const sizes = [...values.map(({ shape }) => shape[1]!), ...(rows.length === 0 ? [] : [rows.length])];
  return tf.split(tf.concat(all, 1), sizes, 1).slice(0, values.length);
}

const rowsOf = (x: Tensor, { from, size }: Block): Tensor => tf.slice(x, [0, from, 0], [-1, size, -1]);

const maskOf = (mask: Tensor | undefined, block: Block): Tensor | undefined =>
  mask === undefined ? undefined : rowsOf(mask, block);

const scaleOf = (q: Tensor): number => q.shape.at(-1)! ** -0.5;

/** Rows of `q` [h,b,c] over all of `k` [h,t,c]: [h,b,t]. */
function probabilitiesOf(q: Tensor, k: Tensor, mask?: Tensor): Tensor {
  const scores = matmul(q, k, { transposeB: true, alpha: scaleOf(q) });
  return tf.softmax(mask === undefined ? scores : tf.add(scores, mask));
}
