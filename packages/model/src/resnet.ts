import {
  attention,
  averagePool,
  type BatchStatistics,
  batchNorm,
  checkpoint,
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
import { type NormedConvolution, type ResNetBlock, resnetBlocks, STEM } from './resnet-parameters.js';
import { joinHeads, type Parameters, splitHeads } from './transformer-block.js';

/**
 * The modified ResNet of CLIP (arXiv 2103.00020, section 2.4): three convolutions in its stem, average pooling in place of
 * strides, attention pooling. Legend: m samples, s side and c channels of feature maps [m,s,s,c].
 */

/** Gets a batch's value [c] of a running statistic, by the buffer's name. The caller disposes of it. */
export type Observe = (buffer: string, value: Tensor) => void;

/** What batch norm works on in training: statistics of the samples here, which it tells, or those of all, by the norm's name. */
export type TrainingNorm = { readonly observe: Observe } | { readonly exchange: (norm: string) => NormExchange };

export interface ResNetOptions {
  /** Default: batch norm works on the running statistics among the parameters. */
  readonly training?: TrainingNorm | undefined;
  /** In training: whether the gradient forms the values within the stem and the blocks again; default: they are kept. */
  readonly checkpointBlocks?: boolean | undefined;
}

/** Through a convolution and its norm. */
type Convolve = (x: Tensor, layer: NormedConvolution, stride?: number) => Tensor;

/** Features [m,32 · width], which are projected to embeddings. Running statistics are among the parameters. */
export function resnet(
  vision: ResNetConfig,
  parameters: Parameters,
  images: Tensor,
  { training, checkpointBlocks = false }: ResNetOptions = {},
): Tensor {
  const p = (name: string): Tensor => parameters[name]!;
  const blocks = resnetBlocks(vision);
  const last = blocks.at(-1);
  return attentionPool(
    blocks.reduce(
      // The backward pass begins with the last block: forming it again would spare nothing.
      (x, block) => part(block.layers, x, (x, convolve) => bottleneck(block, x, convolve), block === last),
      part(STEM, images, stem, false),
    ),
  );

  /** x through what has these layers. */
  function part(
    layers: readonly NormedConvolution[],
    x: Tensor,
    apply: (x: Tensor, convolve: Convolve) => Tensor,
    kept: boolean,
  ): Tensor {
    if (!checkpointBlocks || kept || training === undefined) return apply(x, convolveWith(parameters, training));
    const names = layers.flatMap(({ filter, norm }) => [`${filter}.weight`, `${norm}.weight`, `${norm}.bias`]);
    const { first, again } = twice(training);
    return checkpoint(
      (x, weights, _, isAgain) => {
        const own = Object.fromEntries(names.map((name, i) => [name, weights[i]!]));
        return apply(x, convolveWith(own, isAgain ? again : first));
      },
      x,
      names.map(p),
    );
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

/** For a part that is formed twice: its statistics are told, or exchanged, the first time only. */
function twice(training: TrainingNorm): { readonly first: TrainingNorm; readonly again: TrainingNorm } {
  if ('observe' in training) return { first: training, again: { observe: (_, value) => value.dispose() } };
  const known = new Map<string, BatchStatistics>();
  return {
    first: {
      exchange: (norm) => ({
        ...training.exchange(norm),
        statistics: (own, n) => {
          const all = training.exchange(norm).statistics(own, n);
          known.set(norm, all);
          return all;
        },
      }),
    },
    again: { exchange: (norm) => ({ ...training.exchange(norm), statistics: () => known.get(norm)! }) },
  };
}

/** Convolutions are without bias; filters of 3 x 3 are padded, others are of 1 x 1. */
const convolveWith =
  (parameters: Parameters, training: TrainingNorm | undefined): Convolve =>
  (x, { filter, norm }, stride = 1) => {
    const w = parameters[`${filter}.weight`]!;
    const maps = convolution(x, w, { stride, padding: w.shape[2] === 1 ? 0 : 1 });
    const places = tf.reshape(maps, [-1, w.shape[0]!]);
    return tf.reshape(normalize(parameters, places, norm, training), maps.shape);
  };

function normalize(parameters: Parameters, places: Tensor, name: string, training: TrainingNorm | undefined): Tensor {
  const p = (part: string): Tensor => parameters[`${name}.${part}`]!;
  const [gain, bias] = [p('weight'), p('bias')];
  if (training === undefined)
    return fixedNorm(places, gain, bias, { mean: p('running_mean'), variance: p('running_var') });
  if ('exchange' in training) return globalBatchNorm(places, gain, bias, training.exchange(name));
  return batchNorm(places, gain, bias, ({ mean, variance }) => {
    training.observe(`${name}.running_mean`, mean);
    training.observe(`${name}.running_var`, variance);
  });
}

const stem = (images: Tensor, convolve: Convolve): Tensor =>
  averagePool(
    STEM.reduce((x, layer, i) => relu(convolve(x, layer, i === 0 ? 2 : 1)), images),
    2,
  );

function bottleneck({ layers, stride }: ResNetBlock, x: Tensor, convolve: Convolve): Tensor {
  const [first, second, third, around] = layers;
  const smaller = (maps: Tensor): Tensor => (stride === 1 ? maps : averagePool(maps, stride));
  const middle = smaller(relu(convolve(relu(convolve(x, first!)), second!)));
  return relu(tf.add(convolve(middle, third!), around === undefined ? x : convolve(smaller(x), around)));
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
