import { CounterRandom, FlatLayout } from '@clipyard/tensor';
import { constant, normal } from './initializers.js';
import { isResNet, type ModelConfig } from './model-config.js';
import { addProjection, textPrefix } from './projection.js';
import { addResNet } from './resnet-parameters.js';
import { type ParameterSpec, SpecList } from './spec-list.js';
import { addVit } from './vit-parameters.js';

/** Every parameter of the model with open_clip's names and shapes, in open_clip's order, and its running statistics. */
export const parameterSpecs = (config: ModelConfig, initTemperature = 0.07): ParameterSpec[] =>
  specsOf(config, initTemperature).parameters;

/** Names of the int64 counters of a model's state that are in open_clip's files: of batches, one for each batch norm. */
export const counterNames = (config: ModelConfig): string[] => specsOf(config, 1).counters;

/** How many numbers of a model are learned: all but its running statistics. */
export const parameterCount = (specs: readonly ParameterSpec[]): number =>
  specs
    .filter(({ running }) => running !== true)
    .reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0);

function specsOf(config: ModelConfig, initTemperature: number): SpecList {
  const specs = new SpecList();
  const { vision_cfg: vision, text_cfg: text } = config;
  const prefix = textPrefix(config);

  specs.add(`${prefix}positional_embedding`, [text.context_length, text.width], normal(0.01));
  addProjection(specs, config, 'text');
  specs.add('logit_scale', [], constant(Math.log(1 / initTemperature)));
  if (config.init_logit_bias !== undefined) specs.add('logit_bias', [], constant(config.init_logit_bias));

  if (isResNet(vision)) addResNet(specs, config, vision);
  else addVit(specs, config, vision);

  const projStd = text.width ** -0.5 * (2 * text.layers) ** -0.5;
  for (let layer = 0; layer < text.layers; layer++) {
    specs.block(`${prefix}transformer.resblocks.${layer}`, text.width, Math.floor(text.width * text.mlp_ratio), {
      inProj: normal(text.width ** -0.5),
      outProj: normal(projStd),
      fc: normal((2 * text.width) ** -0.5),
      proj: normal(projStd),
    });
  }
  specs.add(`${prefix}token_embedding.weight`, [text.vocab_size, text.width], normal(0.02));
  specs.norm(`${prefix}ln_final`, text.width);
  return specs;
}

const byGroup = (a: ParameterSpec, b: ParameterSpec): number =>
  Number(b.decay) - Number(a.decay) ||
  lrScaleOf(a) - lrScaleOf(b) ||
  Number(a.storage !== undefined) - Number(b.storage !== undefined);

const lrScaleOf = ({ lrScale = 1 }: ParameterSpec): number => lrScale;

/** What is trained, in the order of `parameterGroups`. */
export const parameterLayout = (specs: readonly ParameterSpec[]): FlatLayout =>
  new FlatLayout(specs.filter(({ frozen }) => frozen !== true).sort(byGroup));

/** What is not trained. */
export const frozenLayout = (specs: readonly ParameterSpec[]): FlatLayout =>
  new FlatLayout(specs.filter(({ frozen }) => frozen === true));

/** A part [start, end) of the flat buffer whose parameters are updated alike. */
export interface ParameterGroup {
  readonly start: number;
  readonly end: number;
  readonly decay: boolean;
  readonly lrScale: number;
  readonly storage: ParameterSpec['storage'];
}

/** The groups of `layout`, one after another from 0 to the end of the padded buffer. */
export function parameterGroups(specs: readonly ParameterSpec[], layout: FlatLayout, padded: number): ParameterGroup[] {
  const groups: ParameterGroup[] = [];
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  layout.tensors.forEach(({ name, offset }, i) => {
    const end = layout.tensors[i + 1]?.offset ?? padded;
    const spec = byName.get(name)!;
    const { decay, storage } = spec;
    const lrScale = lrScaleOf(spec);
    const last = groups.at(-1);
    if (last?.decay === decay && last.lrScale === lrScale && last.storage === storage)
      groups[groups.length - 1] = { ...last, end };
    else groups.push({ start: offset, end, decay, lrScale, storage });
  });
  return groups;
}

/** Writes initial values; tensor i draws from stream i of the seed, so values depend on neither ranks nor layouts. */
export function initializeParameters(
  specs: readonly ParameterSpec[],
  seed: number,
  viewOf: (name: string) => Float32Array,
): void {
  specs.forEach(({ name, init }, index) => {
    const view = viewOf(name);
    const random = new CounterRandom(seed, index + 1);
    if (init.type === 'constant') view.fill(init.value);
    else if (init.type === 'normal') random.fillNormal(view, { mean: 0, std: init.std });
    else random.fillUniform(view, { low: -init.bound, high: init.bound });
  });
}
