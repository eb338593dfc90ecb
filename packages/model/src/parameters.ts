import { CounterRandom, FlatLayout } from '@clipyard/tensor';
import type { ModelConfig } from './model-config.js';
import { projectionShapes } from './projection.js';

/** How a parameter begins, as open_clip and PyTorch's default layers do it. */
export type Initializer =
  | { readonly type: 'constant'; readonly value: number }
  | { readonly type: 'normal'; readonly std: number }
  /** Uniform in [-bound, bound). */
  | { readonly type: 'uniform'; readonly bound: number };

export interface ParameterSpec {
  /** open_clip's name, where it has such a parameter. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Initializer;
  /** Weight decay applies: open_clip's rule, everything of two dimensions or more that is no gain, bias or logit scale. */
  readonly decay: boolean;
  /** Its learning rate is the run's times this; default 1. */
  readonly lrScale?: number;
  /** It holds numbers of this format only; default: any float32. */
  readonly storage?: 'bf16' | 'fp16';
  /** It is not trained: no gradient, no moments. */
  readonly frozen?: boolean;
}

const constant = (value: number): Initializer => ({ type: 'constant', value });
const normal = (std: number): Initializer => ({ type: 'normal', std });
/** PyTorch's default of Linear and Conv2d, weight and bias alike: kaiming_uniform(a = √5). */
const fanIn = (inputs: number): Initializer => ({ type: 'uniform', bound: 1 / Math.sqrt(inputs) });

interface BlockInit {
  readonly inProj: Initializer;
  readonly outProj: Initializer;
  readonly fc: Initializer;
  readonly proj: Initializer;
}

/** Every parameter of the model with open_clip's names and shapes, in open_clip's order. */
export function parameterSpecs(config: ModelConfig, initTemperature = 0.07): ParameterSpec[] {
  const specs: ParameterSpec[] = [];
  const add = (name: string, shape: number[], init: Initializer): void => {
    specs.push({ name, shape, init, decay: shape.length >= 2 && !/bn|ln|bias|logit_scale/.test(name) });
  };
  const { vision_cfg: vision, text_cfg: text } = config;
  const norm = (name: string, width: number): void => {
    add(`${name}.weight`, [width], constant(1));
    add(`${name}.bias`, [width], constant(0));
  };
  const projection = (tower: 'image' | 'text', width: number): void => {
    for (const [name, shape, init, inputs] of projectionShapes(config, tower, width))
      add(name, shape, init === 'zero' ? constant(0) : init === 'linear' ? normal(inputs ** -0.5) : fanIn(inputs));
  };
  const block = (prefix: string, width: number, hidden: number, init: BlockInit): void => {
    norm(`${prefix}.ln_1`, width);
    add(`${prefix}.attn.in_proj_weight`, [3 * width, width], init.inProj);
    add(`${prefix}.attn.in_proj_bias`, [3 * width], constant(0));
    add(`${prefix}.attn.out_proj.weight`, [width, width], init.outProj);
    add(`${prefix}.attn.out_proj.bias`, [width], constant(0));
    norm(`${prefix}.ln_2`, width);
    add(`${prefix}.mlp.c_fc.weight`, [hidden, width], init.fc);
    add(`${prefix}.mlp.c_fc.bias`, [hidden], fanIn(width));
    add(`${prefix}.mlp.c_proj.weight`, [width, hidden], init.proj);
    add(`${prefix}.mlp.c_proj.bias`, [width], fanIn(hidden));
  };

  add('positional_embedding', [text.context_length, text.width], normal(0.01));
  projection('text', text.width);
  add('logit_scale', [], constant(Math.log(1 / initTemperature)));
  if (config.init_logit_bias !== undefined) add('logit_bias', [], constant(config.init_logit_bias));

  const patches = (vision.image_size / vision.patch_size) ** 2;
  const scale = vision.width ** -0.5;
  add('visual.class_embedding', [vision.width], normal(scale));
  add('visual.positional_embedding', [patches + 1, vision.width], normal(scale));
  projection('image', vision.width);
  add(
    'visual.conv1.weight',
    [vision.width, 3, vision.patch_size, vision.patch_size],
    fanIn(3 * vision.patch_size ** 2),
  );
  norm('visual.ln_pre', vision.width);
  const visionHidden = Math.floor(vision.width * vision.mlp_ratio);
  for (let layer = 0; layer < vision.layers; layer++) {
    block(`visual.transformer.resblocks.${layer}`, vision.width, visionHidden, {
      // xavier_uniform over [3w, w]: bound √(6 / 4w)
      inProj: { type: 'uniform', bound: Math.sqrt(6 / (4 * vision.width)) },
      outProj: fanIn(vision.width),
      fc: fanIn(vision.width),
      proj: fanIn(visionHidden),
    });
  }
  norm('visual.ln_post', vision.width);

  const projStd = text.width ** -0.5 * (2 * text.layers) ** -0.5;
  for (let layer = 0; layer < text.layers; layer++) {
    block(`transformer.resblocks.${layer}`, text.width, Math.floor(text.width * text.mlp_ratio), {
      inProj: normal(text.width ** -0.5),
      outProj: normal(projStd),
      fc: normal((2 * text.width) ** -0.5),
      proj: normal(projStd),
    });
  }
  add('token_embedding.weight', [text.vocab_size, text.width], normal(0.02));
  norm('ln_final', text.width);
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
