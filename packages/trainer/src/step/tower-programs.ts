import {
  type ComputePrecision,
  type Engine,
  type Program,
  type Specs,
  type StagedProgram,
  type Tensor,
  type TensorFunction,
  tf,
} from '@clipyard/engine';
import {
  encodeImage,
  encodeText,
  imageFeatures,
  isResNet,
  type KeptPatches,
  keptCount,
  type ModelConfig,
  type ParameterSpec,
  projectImage,
  type TrainingNorm,
} from '@clipyard/model';

/**
 * The programs of the two towers for a micro-batch. Legend: m samples of the micro-batch, S side of a picture, t context
 * length, D embedding dimension. Inputs are the parameters by name and `images` [m,S,S,3], `tokens` [m,t], `ends` [m]; in
 * training with patch dropout also those of KeptPatches.
 */
export const LOGIT_SCALE = 'logit_scale';
export const LOGIT_BIAS = 'logit_bias';
/** Whether a tower reads it: all but what the loss does with similarities. */
export const isTowerParameter = (name: string): boolean => name !== LOGIT_SCALE && name !== LOGIT_BIAS;
/** A batch's value of a running statistic, among a program's outputs. */
export const statisticName = (running: string): string => `statistics:${running}`;
export const gradientName = (parameter: string): string => `gradient:${parameter}`;

export interface TowerProgramOptions {
  readonly config: ModelConfig;
  readonly parameters: readonly ParameterSpec[];
  /** m. */
  readonly samples: number;
  /** Whether the backward pass forms what is within the blocks again; default: it is kept. */
  readonly checkpointBlocks?: boolean | undefined;
  /** What operands are rounded to; default fp32. */
  readonly compute?: ComputePrecision;
}

const towerParameters = (parameters: readonly ParameterSpec[]): ParameterSpec[] =>
  parameters.filter(({ name }) => isTowerParameter(name));

const trainedParameters = (parameters: readonly ParameterSpec[]): ParameterSpec[] =>
  towerParameters(parameters).filter(({ frozen }) => frozen !== true);

function inputSpecs(
  { config, parameters, samples }: TowerProgramOptions,
  which: 'image' | 'text' | 'both',
): Record<string, Specs[string]> {
  const { image_size: size } = config.vision_cfg;
  const { context_length: length } = config.text_cfg;
  const specs: Record<string, Specs[string]> = {};
  for (const { name, shape } of towerParameters(parameters)) {
    if (which === 'both' || name.startsWith('visual.') === (which === 'image')) specs[name] = { shape };
  }
  if (which !== 'text') specs.images = { shape: [samples, size, size, 3] };
  if (which !== 'image') {
    specs.tokens = { shape: [samples, length], dtype: 'int32' };
    specs.ends = { shape: [samples], dtype: 'int32' };
  }
  return specs;
}

const computeOf = ({ compute = 'fp32' }: TowerProgramOptions) => ({ compute });

function keptSpecs({ config, samples }: TowerProgramOptions): Record<string, Specs[string]> {
  const { vision_cfg: vision } = config;
  if (isResNet(vision) || !vision.patch_dropout) return {};
  const kept = keptCount(vision);
  return {
    keptPatches: { shape: [samples * kept], dtype: 'int32' },
    keptPositions: { shape: [samples * (kept + 1)], dtype: 'int32' },
  };
}

const keptOf = ({ keptPatches, keptPositions }: Readonly<Record<string, Tensor>>): KeptPatches | undefined =>
  keptPatches === undefined || keptPositions === undefined ? undefined : { keptPatches, keptPositions };

/** What the towers take in training. */
const trainingSpecs = (options: TowerProgramOptions): Record<string, Specs[string]> => ({
  ...inputSpecs(options, 'both'),
  ...keptSpecs(options),
});

/** Batch norm works on a micro-batch's own statistics, which are outputs. */
const localNorm = (_inputs: Record<string, Tensor>, outputs: Record<string, Tensor>): TrainingNorm => ({
  observe: (running, value) => {
    outputs[statisticName(running)] = value;
  },
});

/** Forward only, in training: `image` and `text` [m,D], and the batch's statistics, which batch norm works on. */
export function compileEncoder(engine: Engine, options: TowerProgramOptions): Promise<Program> {
  const { config } = options;
  const fn: TensorFunction = (inputs) => {
    const statistics: Record<string, Tensor> = {};
    const training = { kept: keptOf(inputs), norm: localNorm(inputs, statistics) };
    const image = encodeImage(config, inputs, inputs.images!, training);
    return { image, text: encodeText(config, inputs, inputs.tokens!, inputs.ends!), ...statistics };
  };
  return engine.compile(fn, trainingSpecs(options), { name: 'encode', ...computeOf(options) });
}

/** Forward only, of a teacher: `image` and `text` [m,D]. */
export function compileTeacher(engine: Engine, options: TowerProgramOptions): Promise<Program> {
  const { config } = options;
  const fn: TensorFunction = (inputs) => ({
    image: encodeImage(config, inputs, inputs.images!, { kept: keptOf(inputs) }),
    text: encodeText(config, inputs, inputs.tokens!, inputs.ends!),
  });
  return engine.compile(fn, trainingSpecs(options), { name: 'encode (teacher)', ...computeOf(options) });
}

/** Forward of one tower only, for evaluation: `image` or `text` [m,D], and its inputs. */
export function towerFunction(
  which: 'image' | 'text',
  options: TowerProgramOptions,
): { readonly fn: TensorFunction; readonly inputs: Specs } {
  const { config } = options;
  const fn: TensorFunction = (inputs) => ({
    [which]:
      which === 'image'
        ? encodeImage(config, inputs, inputs.images!)
        : encodeText(config, inputs, inputs.tokens!, inputs.ends),
  });
  return { fn, inputs: inputSpecs(options, which) };
}

export function compileTower(engine: Engine, which: 'image' | 'text', options: TowerProgramOptions): Promise<Program> {
  const { fn, inputs } = towerFunction(which, options);
  return engine.compile(fn, inputs, { name: `encode ${which}s`, ...computeOf(options) });
}

/** Forward of the image tower for probes: `image` [m,D] and, from before the projection, `features` [m,w]. */
export function compileImageFeatures(engine: Engine, options: TowerProgramOptions): Promise<Program> {
  const fn: TensorFunction = (inputs) => {
    const features = imageFeatures(options.config, inputs, inputs.images!);
    return { image: projectImage(options.config, inputs, features), features };
  };
  return engine.compile(fn, inputSpecs(options, 'image'), {
    name: 'encode images with features',
    ...computeOf(options),
  });
}

/**
 * Embeddings and the batch's statistics, and given the embeddings' cotangents `dImage` and `dText` [m,D] the gradient of
 * every tower parameter that is trained.
 */
export function vectorJacobian(
  { config, parameters, samples, checkpointBlocks }: TowerProgramOptions,
  normOf: (inputs: Record<string, Tensor>, outputs: Record<string, Tensor>) => TrainingNorm = localNorm,
): TensorFunction {
  // Embeddings get their gradients last, and come first among the outputs: ONNX Runtime walks back from the last output,
  // and would go through the whole backward pass for an embedding before it forms, and lets go of, anything else.
  const isEmbedding = (name: string): number => Number(name.includes('embedding'));
  const names = trainedParameters(parameters)
    .map(({ name }) => name)
    .sort((a, b) => isEmbedding(b) - isEmbedding(a));
  return (inputs) => {
    const statistics: Record<string, Tensor> = {};
    const norm = normOf(inputs, statistics);
    const towers = (...values: Tensor[]): Tensor => {
      const byName = { ...inputs, ...Object.fromEntries(names.map((name, i) => [name, values[i]!])) };
      return tf.concat(
        [
          encodeImage(config, byName, inputs.images!, { kept: keptOf(inputs), checkpointBlocks, norm }),
          encodeText(config, byName, inputs.tokens!, inputs.ends!, { checkpointBlocks }),
        ],
        0,
      );
    };
    const cotangent = tf.concat([inputs.dImage!, inputs.dText!], 0);
    const { value, grads } = tf.valueAndGrads(towers as never)(
      names.map((name) => inputs[name]!),
      cotangent,
    );
    const dimension = config.embed_dim;
    return {
      image: tf.slice(value, [0, 0], [samples, dimension]),
      text: tf.slice(value, [samples, 0], [samples, dimension]),
      ...statistics,
      ...Object.fromEntries(names.map((name, i) => [gradientName(name), grads[i]!])),
    };
  };
}

function withCotangents(options: TowerProgramOptions): Specs {
  const cotangent = { shape: [options.samples, options.config.embed_dim] };
  return { ...trainingSpecs(options), dImage: cotangent, dText: cotangent };
}

const sumName = (gradient: string): string => `sum:${gradient}`;

/** The gradients so far as inputs of what adds to them, by the names of its outputs. */
export const sumInputs = (gradients: Readonly<Record<string, Float32Array>>): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(gradients).map(([name, view]) => [sumName(name), view]));

/** The gradients added to the sums of those so far, as outputs of the same names. */
const summed =
  (fn: TensorFunction, options: TowerProgramOptions): TensorFunction =>
  (inputs) => {
    const results = fn(inputs);
    const sums = gradientNames(options).map((name) => [name, tf.add(inputs[sumName(name)]!, results[name]!)]);
    return { ...results, ...Object.fromEntries(sums) };
  };

const gradientNames = ({ parameters }: TowerProgramOptions): string[] =>
  trainedParameters(parameters).map(({ name }) => gradientName(name));

function withSums(options: TowerProgramOptions): Specs {
  const sums = trainedParameters(options.parameters).map(({ name, shape }) => [sumName(gradientName(name)), { shape }]);
  return { ...withCotangents(options), ...Object.fromEntries(sums) };
}

const sumsInPlace = (options: TowerProgramOptions): Record<string, string> =>
  Object.fromEntries(gradientNames(options).map((name) => [name, sumName(name)]));

/** What makes stages of the passes. */
export interface Exchanges {
  /** Inputs that only they bring. */
  readonly specs: Specs;
  /** Those of each stage between the first and the cotangents, and after them. */
  readonly forward: readonly (readonly string[])[];
  readonly backward: readonly (readonly string[])[];
}

/**
 * Encodes, waits for the cotangents, then only the backward pass is left, each in as many stages as there are exchanges and
 * one more; default: no exchanges. With several tapes for as many micro-batches, it adds to the gradients so far, which may be written over.
 */
export function compileEncodeThenBackward(
  engine: Engine,
  options: TowerProgramOptions,
  tapes: number,
  fn: TensorFunction = vectorJacobian(options),
  { specs, forward, backward }: Exchanges = { specs: {}, forward: [], backward: [] },
): Promise<StagedProgram> {
  const cotangents = ['dImage', 'dText'];
  const common = { name: 'train', ...computeOf(options) };
  if (tapes === 1) {
    const late = [...forward, cotangents, ...backward];
    return engine.compileStaged(fn, { ...withCotangents(options), ...specs }, late, common);
  }
  const late = [...forward, [...cotangents, ...gradientNames(options).map(sumName)], ...backward];
  const inPlace = sumsInPlace(options);
  const inputs = { ...withSums(options), ...specs };
  return engine.compileStaged(summed(fn, options), inputs, late, { ...common, tapes, inPlace });
}

/**
 * For micro-batches without tapes (gradient caching, Gao et al., arXiv 2101.06983): encodes again, goes backward, and
 * adds to the gradients so far, which may be written over.
 */
export function compileBackward(engine: Engine, options: TowerProgramOptions): Promise<Program> {
  const fn = summed(vectorJacobian(options), options);
  const sums: TensorFunction = (inputs) => {
    const results = fn(inputs);
    return Object.fromEntries(gradientNames(options).map((name) => [name, results[name]!]));
  };
  return engine.compile(sums, withSums(options), {
    name: 'encode and backward',
    ...computeOf(options),
    inPlace: sumsInPlace(options),
  });
}
