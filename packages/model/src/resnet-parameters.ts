import { fanIn, normal } from './initializers.js';
import { type ModelConfig, type ResNetConfig, resnetFeatures } from './model-config.js';
import { addProjection } from './projection.js';
import type { SpecList } from './spec-list.js';

/** A block's result has this many times the channels of its middle. */
export const EXPANSION = 4;

export interface ResNetBlock {
  /** open_clip's name. */
  readonly name: string;
  readonly channels: number;
  /** Of its middle. */
  readonly planes: number;
  /** Pictures leave it smaller by this. */
  readonly stride: number;
  /** The way around it is a convolution too. */
  readonly downsample: boolean;
}

/** The blocks of all four stages, in their order. */
export function resnetBlocks({ layers, width }: ResNetConfig): ResNetBlock[] {
  const blocks: ResNetBlock[] = [];
  let channels = width;
  layers.forEach((count, stage) => {
    const planes = width * 2 ** stage;
    for (let i = 0; i < count; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const downsample = stride > 1 || channels !== planes * EXPANSION;
      blocks.push({ name: `visual.layer${stage + 1}.${i}`, channels, planes, stride, downsample });
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
  const blocks = resnetBlocks(vision).map(({ name, downsample }) => {
    const [bn1, bn2, bn3] = [1, 2, 3].map((i) => `${name}.bn${i}`) as [string, string, string];
    const around = downsample ? [`${name}.downsample.1`] : [];
    return { forward: [[bn1, ...around], [bn2], [bn3]], backward: [[bn3, ...around], [bn2], [bn1]] };
  });
  const stem = [1, 2, 3].map((i) => [`visual.bn${i}`]);
  return {
    forward: [...stem, ...blocks.flatMap(({ forward }) => forward)],
    backward: [...blocks.reverse().flatMap(({ backward }) => backward), ...stem.toReversed()],
  };
}

/** The modified ResNet's parameters and running statistics. */
export function addResNet(specs: SpecList, config: ModelConfig, vision: ResNetConfig): void {
  const convolution = (name: string, width: number, channels: number, side: number): void =>
    specs.add(`${name}.weight`, [width, channels, side, side], fanIn(channels * side ** 2));
  const half = vision.width / 2;
  for (const [i, [width, channels]] of [
    [half, 3] as const,
    [half, half] as const,
    [2 * half, half] as const,
  ].entries()) {
    convolution(`visual.conv${i + 1}`, width, channels, 3);
    specs.batchNorm(`visual.bn${i + 1}`, width);
  }
  for (const { name, channels, planes, downsample } of resnetBlocks(vision)) {
    convolution(`${name}.conv1`, planes, channels, 1);
    specs.batchNorm(`${name}.bn1`, planes);
    convolution(`${name}.conv2`, planes, planes, 3);
    specs.batchNorm(`${name}.bn2`, planes);
    convolution(`${name}.conv3`, planes * EXPANSION, planes, 1);
    // At the beginning a block is the way around it.
    specs.batchNorm(`${name}.bn3`, planes * EXPANSION, 0);
    if (!downsample) continue;
    convolution(`${name}.downsample.0`, planes * EXPANSION, channels, 1);
    specs.batchNorm(`${name}.downsample.1`, planes * EXPANSION);
  }
  const features = resnetFeatures(vision);
  const std = features ** -0.5;
  specs.add('visual.attnpool.positional_embedding', [(vision.image_size / 32) ** 2 + 1, features], normal(std));
  for (const name of ['k', 'q', 'v']) specs.linear(`visual.attnpool.${name}_proj`, features, features, normal(std));
  addProjection(specs, config, 'image');
}
