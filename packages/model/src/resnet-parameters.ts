import { fanIn, normal } from './initializers.js';
import { type ModelConfig, type ResNetConfig, resnetFeatures } from './model-config.js';
import { addProjection } from './projection.js';
import type { SpecList } from './spec-list.js';

/** A block's result has this many times the channels of its middle. */
export const EXPANSION = 4;

/** A convolution without bias and the batch norm behind it, by open_clip's names. */
export interface NormedConvolution {
  readonly filter: string;
  readonly norm: string;
}

export const STEM: readonly NormedConvolution[] = [1, 2, 3].map((i) => ({
  filter: `visual.conv${i}`,
  norm: `visual.bn${i}`,
}));

export interface ResNetBlock {
  /** Three one after another, and where there is a fourth, that on the way around them. */
  readonly layers: readonly NormedConvolution[];
  readonly channels: number;
  /** Of its middle. */
  readonly planes: number;
  /** Pictures leave it smaller by this. */
  readonly stride: number;
}

/** The blocks of all four stages, in their order. */
export function resnetBlocks({ layers, width }: ResNetConfig): ResNetBlock[] {
  const blocks: ResNetBlock[] = [];
  let channels = width;
  layers.forEach((count, stage) => {
    const planes = width * 2 ** stage;
    for (let i = 0; i < count; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const name = `visual.layer${stage + 1}.${i}`;
      const layers = [1, 2, 3].map((i) => ({ filter: `${name}.conv${i}`, norm: `${name}.bn${i}` }));
      if (stride > 1 || channels !== planes * EXPANSION)
        layers.push({ filter: `${name}.downsample.0`, norm: `${name}.downsample.1` });
      blocks.push({ layers, channels, planes, stride });
      channels = planes * EXPANSION;
    }
  });
  return blocks;
}

/**
 * The batch norms by open_clip's names: in the order in which their inputs are there, and the cotangents of their results.
 * What stands together needs nothing of one another.
 */
export interface NormOrder {
  readonly forward: readonly (readonly string[])[];
  readonly backward: readonly (readonly string[])[];
}

export function normOrder(vision: ResNetConfig): NormOrder {
  const blocks = resnetBlocks(vision).map(({ layers }) => {
    const [bn1, bn2, bn3, ...around] = layers.map(({ norm }) => norm) as [string, string, string, ...string[]];
    return { forward: [[bn1, ...around], [bn2], [bn3]], backward: [[bn3, ...around], [bn2], [bn1]] };
  });
  const stem = STEM.map(({ norm }) => [norm]);
  return {
    forward: [...stem, ...blocks.flatMap(({ forward }) => forward)],
    backward: [...blocks.reverse().flatMap(({ backward }) => backward), ...stem.toReversed()],
  };
}

/** The modified ResNet's parameters and running statistics. */
export function addResNet(specs: SpecList, config: ModelConfig, vision: ResNetConfig): void {
  const add = ({ filter, norm }: NormedConvolution, width: number, channels: number, side: number, gain = 1): void => {
    specs.add(`${filter}.weight`, [width, channels, side, side], fanIn(channels * side ** 2));
    specs.batchNorm(norm, width, gain);
  };
  const half = vision.width / 2;
  for (const [i, layer] of STEM.entries()) add(layer, i < 2 ? half : 2 * half, i === 0 ? 3 : half, 3);
  for (const { layers, channels, planes } of resnetBlocks(vision)) {
    const [first, second, third, around] = layers;
    add(first!, planes, channels, 1);
    add(second!, planes, planes, 3);
    // At the beginning a block is the way around it.
    add(third!, planes * EXPANSION, planes, 1, 0);
    if (around !== undefined) add(around, planes * EXPANSION, channels, 1);
  }
  const features = resnetFeatures(vision);
  const std = features ** -0.5;
  specs.add('visual.attnpool.positional_embedding', [(vision.image_size / 32) ** 2 + 1, features], normal(std));
  for (const name of ['k', 'q', 'v']) specs.linear(`visual.attnpool.${name}_proj`, features, features, normal(std));
  addProjection(specs, config, 'image');
}
