import { fieldError, type RunSpec } from '@clipyard/contracts';
import type { ModelConfig } from './model-config.js';
import { parameterSpecs } from './parameters.js';
import type { ParameterSpec } from './spec-list.js';

/**
 * Which parameters a run trains, and how fast: towers that are locked (LiT, Zhai et al., arXiv 2111.07991) but for their
 * last groups, and learning rates that fall from the last layer to the first.
 */
export interface FineTuning {
  readonly lock: {
    readonly image: boolean;
    readonly imageUnlockedGroups: number;
    readonly text: boolean;
    readonly textUnlockedGroups: number;
  };
  /** The rate of a layer is this times that of the layer above it; 1: all alike. */
  readonly layerDecay: number;
}

/** The config with what the loss asks of a model: where a logit bias starts, without which SigLIP's is of no use. */
export const configForLoss = (config: ModelConfig, loss: RunSpec['loss']): ModelConfig =>
  loss.type === 'siglip' ? { ...config, init_logit_bias: loss.initLogitBias } : config;

/** Every parameter of a run's model, with how it is trained and kept. */
export function runParameters(
  { model, loss, optimizer, precision }: Pick<RunSpec, 'model' | 'loss' | 'optimizer' | 'precision'>,
  config: ModelConfig,
): ParameterSpec[] {
  const { lock } = model;
  const specs = fineTune(parameterSpecs(config, loss.initTemperature), config, {
    lock,
    layerDecay: optimizer.layerDecay,
  });
  const { textWeights } = precision;
  if (textWeights === 'fp32') return specs;
  // Gains and biases are few, and a norm's errors are a whole row's.
  const narrow = ({ name, decay }: ParameterSpec): boolean => decay && placeOf(name, config)?.tower === 'text';
  return specs.map((spec) => (narrow(spec) ? { ...spec, storage: textWeights } : spec));
}

type Tower = 'image' | 'text';

/** The specs with `frozen` and `lrScale` set. */
export function fineTune(
  specs: readonly ParameterSpec[],
  config: ModelConfig,
  { lock, layerDecay }: FineTuning,
): ParameterSpec[] {
  return specs.map((spec) => {
    const place = placeOf(spec.name, config);
    if (place === undefined) return spec;
    const { tower, group, groups } = place;
    const unlocked = tower === 'image' ? lock.imageUnlockedGroups : lock.textUnlockedGroups;
    const frozen = lock[tower] && group < groups - unlocked;
    const lrScale = layerDecay ** (groups - 1 - group);
    return { ...spec, ...(frozen && { frozen }), ...(lrScale !== 1 && { lrScale }) };
  });
}

/** Groups of a tower, first to last: the embedding, each block (the last with the norm behind it), the projection. */
export const groupsOf = (config: ModelConfig, tower: Tower): number =>
  2 + (tower === 'image' ? layersOf(config.vision_cfg.layers) : config.text_cfg.layers);

/** Throws `spec_invalid` for a lock that locks nothing, since all groups of its tower are unlocked. */
export function checkLock(lock: FineTuning['lock'], config: ModelConfig): void {
  for (const tower of ['image', 'text'] as const) {
    const [unlocked, groups] = [lock[`${tower}UnlockedGroups`], groupsOf(config, tower)];
    if (!lock[tower] || unlocked < groups) continue;
    throw fieldError('spec_invalid', {
      path: `model.lock.${tower}UnlockedGroups`,
      message: `unlocks all ${groups} groups of the tower, so that its lock does nothing`,
      value: unlocked,
      remedy: `Use at most ${groups - 1}, or leave model.lock.${tower} out.`,
    });
  }
}

/** Undefined for what belongs to neither tower: the logit scale. */
function placeOf(name: string, config: ModelConfig): { tower: Tower; group: number; groups: number } | undefined {
  if (/^logit_(scale|bias)$/.test(name)) return undefined;
  const tower: Tower = name.startsWith('visual.') ? 'image' : 'text';
  const groups = groupsOf(config, tower);
  const block = /resblocks\.(\d+)\./.exec(name)?.[1];
  if (block !== undefined) return { tower, group: 1 + Number(block), groups };
  const stage = /^visual\.layer(\d)\./.exec(name)?.[1];
  if (stage !== undefined) return { tower, group: Number(stage), groups };
  if (/^(visual\.ln_post|(text\.)?ln_final)\./.test(name)) return { tower, group: groups - 2, groups };
  const first = /embedding|conv[123]\.|bn[123]\.|ln_pre/.test(name) && !name.includes('attnpool');
  return { tower, group: first ? 0 : groups - 1, groups };
}

/** Transformers have as many as they say, ResNets four stages. */
const layersOf = (layers: number | readonly number[]): number => (typeof layers === 'number' ? layers : layers.length);
