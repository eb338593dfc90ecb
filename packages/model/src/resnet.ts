import {
  attention,
  averagePool,
  batchNorm,
  convolution,
  fixedNorm,
  globalBatchNorm,
  linear,
  type NormExchange,
  relu,
  type Tensor,
  tf,
} from '@clipyard/engine';
import { type ResNetConfig, resnetFeatures } from './model-config.js';
import { type ResNetBlock, resnetBlocks } from './resnet-parameters.js';
import { joinHeads, type Parameters, splitHeads } from './transformer-block.js';

/**
 * The modified ResNet of CLIP (arXiv 2103.00020, section 2.4): three convolutions in its stem, average pooling in place of
 * strides, attention pooling. Legend: m samples, s side and c channels of feature maps [m,s,s,c].
 */

/** Gets a batch's value [c] of a running statistic, by the buffer's name. The caller disposes of it. */
export type Observe = (buffer: string, value: Tensor) => void;

/** What batch norm works on in training: statistics of the samples here, which it tells, or those of all, by the norm's name. */
export type TrainingNorm = { readonly observe: Observe } | { readonly exchange: (norm: string) => NormExchange };

/**
 * Features [m,32 · width], which are projected to embeddings. Without `training` batch norm works on the running statistics
 * among the parameters.
 */
export function resnet(vision: ResNetConfig, parameters: Parameters, images: Tensor, training?: TrainingNorm): Tensor {
  const p = (name: string): Tensor => parameters[name]!;
  const stem = ([1, 2, 3] as const).reduce(
    (x, i) => relu(convolve(x, `visual.conv${i}`, `visual.bn${i}`, i === 1 ? 2 : 1)),
    images,
  );
  const features = resnetBlocks(vision).reduce(bottleneck, averagePool(stem, 2));
  return attentionPool(features);

  /** Without bias, then batch norm. Filters of 3 x 3 are padded, others are of 1 x 1. */
  function convolve(x: Tensor, filter: string, norm: string, stride = 1): Tensor {
    const w = p(`${filter}.weight`);
    const maps = convolution(x, w, { stride, padding: w.shape[2] === 1 ? 0 : 1 });
    const places = tf.reshape(maps, [-1, w.shape[0]!]);
    return tf.reshape(normalize(places, norm), maps.shape);
  }

  function normalize(places: Tensor, name: string): Tensor {
    const [gain, bias] = [p(`${name}.weight`), p(`${name}.bias`)];
    const [mean, variance] = [`${name}.running_mean`, `${name}.running_var`];
    if (training === undefined) return fixedNorm(places, gain, bias, { mean: p(mean), variance: p(variance) });
    if ('exchange' in training) return globalBatchNorm(places, gain, bias, training.exchange(name));
    return batchNorm(places, gain, bias, (statistics) => {
      training.observe(mean, statistics.mean);
      training.observe(variance, statistics.variance);
    });
  }

  function bottleneck(x: Tensor, { name, stride, downsample }: ResNetBlock): Tensor {
    const smaller = (maps: Tensor): Tensor => (stride === 1 ? maps : averagePool(maps, stride));
    let y = relu(convolve(x, `${name}.conv1`, `${name}.bn1`));
    y = smaller(relu(convolve(y, `${name}.conv2`, `${name}.bn2`)));
    y = convolve(y, `${name}.conv3`, `${name}.bn3`);
    return relu(tf.add(y, downsample ? convolve(smaller(x), `${name}.downsample.0`, `${name}.downsample.1`) : x));
  }

  /** Attention of the mean of all places to itself and them, without its projection. */
  function attentionPool(maps: Tensor): Tensor {
    const [samples, side, , width] = maps.shape as [number, number, number, number];
    const heads = resnetFeatures(vision) / vision.head_width;
    const project = (rows: Tensor, name: string): Tensor =>
      linear(rows, p(`visual.attnpool.${name}_proj.weight`), p(`visual.attnpool.${name}_proj.bias`));
    const places = tf.reshape(maps, [samples, side * side, width]);
    const tokens = tf.add(tf.concat([tf.mean(places, 1, true), places], 1), p('visual.attnpool.positional_embedding'));
    const rows = tf.reshape(tokens, [-1, width]) as Tensor;
    const first = tf.reshape(tf.slice(tokens, [0, 0, 0], [-1, 1, -1]), [samples, width]);
    const [q, k, v] = [project(first, 'q'), project(rows, 'k'), project(rows, 'v')].map((x) =>
      splitHeads(x, samples, heads),
    );
    return joinHeads(attention(q!, k!, v!), samples, heads);
  }
}

/** Weight of a new batch in running statistics, as in PyTorch. */
const MOMENTUM = 0.1;

/** Moves running statistics towards those of a batch: in place, both by the buffers' names. */
export function updateRunningStatistics(
  running: Readonly<Record<string, Float32Array>>,
  batch: Readonly<Record<string, Float32Array>>,
): void {
  for (const [name, values] of Object.entries(batch)) {
    const target = running[name]!;
    values.forEach((value, i) => {
      target[i] = (1 - MOMENTUM) * target[i]! + MOMENTUM * value;
    });
  }
}
