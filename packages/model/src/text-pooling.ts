import { matmul, type Tensor, tf } from '@clipyard/engine';
import type { TextConfig } from './model-config.js';
import { type PickRows, pickTokens } from './transformer-block.js';

/** open_clip's default of `eos_id`. */
const DEFAULT_END = 2;

/**
 * For each caption of `tokens` [m·t] the row among all rows that its embedding is read from, by `pool_type`: `argmax` the
 * first with the largest id (end-of-text has it), `eos` the first with `eos_id` or the first of all, `first`, `last`.
 */
export function pooledRows(text: TextConfig, tokens: Int32Array): Int32Array {
  const { context_length: length, pool_type: type = 'argmax', eos_id: end = DEFAULT_END } = text;
  return Int32Array.from({ length: tokens.length / length }, (_, sample) => {
    const caption = tokens.subarray(sample * length, (sample + 1) * length);
    switch (type) {
      case 'first':
        return sample * length;
      case 'last':
        return sample * length + length - 1;
      case 'eos':
        return sample * length + Math.max(0, caption.indexOf(end));
      case 'argmax':
        return sample * length + caption.indexOf(caption.reduce((largest, id) => Math.max(largest, id)));
    }
  });
}

/** As `rows` at `pooledRows`, from `tokens` [m,t] in the graph. */
export function pooledPicker(text: TextConfig, tokens: Tensor): PickRows {
  const [samples, length] = tokens.shape as [number, number];
  const { pool_type: type = 'argmax', eos_id: end = DEFAULT_END } = text;
  if (type === 'first') return (all) => pickTokens(all, samples, 0, 1);
  if (type === 'last') return (all) => pickTokens(all, samples, length - 1, 1);
  // Exact: ids are far below 2^24.
  const ids = tf.cast(tokens, 'float32');
  const ends = tf.cast(tf.equal(ids, type === 'eos' ? tf.scalar(end) : tf.max(ids, 1, true)), 'float32');
  return firstPicker(type === 'eos' ? withFirst(ends) : ends);
}

/** Marks the first token too where no other is marked. */
function withFirst(marks_mt: Tensor): Tensor {
  const length = marks_mt.shape[1]!;
  const none = tf.cast(tf.equal(tf.max(marks_mt, 1, true), 0), 'float32');
  return tf.add(
    marks_mt,
    tf.pad(none, [
      [0, 0],
      [0, length - 1],
    ]),
  );
}

/** By a product with 1 at the first mark and 0 elsewhere. */
function firstPicker(marks_mt: Tensor): PickRows {
  const [samples, length] = marks_mt.shape as [number, number];
  const earlier = new Float32Array(length * length);
  for (let row = 0; row < length; row++) earlier.fill(1, row * length + row + 1, (row + 1) * length);
  const before = matmul(marks_mt, tf.tensor(earlier, [length, length]));
  const first = tf.mul(marks_mt, tf.cast(tf.equal(before, 0), 'float32'));
  return (all) => {
    const width = all.shape[1]!;
    const picked = matmul(tf.reshape(first, [samples, 1, length]), tf.reshape(all, [samples, length, width]));
    return tf.reshape(picked, [samples, width]);
  };
}
