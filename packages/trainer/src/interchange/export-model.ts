import { gzipSync } from 'node:zlib';
import { fieldError } from '@clipyard/contracts';
import { exportOnnx, type Tensor, tf } from '@clipyard/engine';
import {
  BpeVocabulary,
  counterNames,
  formatVocabulary,
  type ModelConfig,
  type ParameterSpec,
  parameterSpecs,
  parseModelConfig,
  type SerializedTokenizer,
  serializedTokenizerSchema,
} from '@clipyard/model';
import { CONFIG_FILE, jsonBytes, PREPROCESSING, parametersImage } from '../checkpoint/checkpoint-format.js';
import { LOGIT_SCALE, towerFunction } from '../step/tower-programs.js';
import type { TrainLog } from '../train-log.js';
import { MERGES_FILE, onnxReadme, openClipReadme, type ReadmeFacts } from './export-readme.js';
import { loadWeights } from './load-weights.js';
import type { WeightSource } from './weight-source.js';
import { EXPORTED_TOKENIZER_FILE, OPEN_CLIP_WEIGHTS_FILE } from './weights-file.js';

/** A file to write. */
export interface OutputFile {
  readonly name: string;
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
}

/** A model read whole from a source, with its own config. */
export interface LoadedModel {
  readonly source: WeightSource;
  readonly config: ModelConfig;
  readonly parameters: readonly ParameterSpec[];
  /** By the names of the parameters. */
  readonly values: Readonly<Record<string, Float32Array>>;
  /** How often batch norm's running statistics have moved, as far as the source says; else 0. */
  readonly updates: number;
}

/** `config`: instead of the source's own. Throws as `loadWeights` does, and `model_config_invalid` without a config. */
export async function loadModel(
  source: WeightSource,
  { field, log, config: given }: { readonly field: string; readonly log: TrainLog; readonly config?: ModelConfig },
): Promise<LoadedModel> {
  if (given === undefined && source.modelConfig === undefined) {
    throw fieldError('model_config_invalid', {
      path: field,
      message: `has no ${CONFIG_FILE} beside its weights`,
      value: source.where,
      remedy: `Put one there, or import the weights with the name of a preset: \`clipyard import … --model ViT-B-32\`.`,
    });
  }
  const config = given ?? parseModelConfig(source.modelConfig, CONFIG_FILE);
  const parameters = parameterSpecs(config);
  const values = Object.fromEntries(
    parameters.map(({ name, shape, init }) => {
      const value = init.type === 'constant' ? init.value : 0;
      return [name, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value)];
    }),
  );
  await loadWeights(source, { config, parameters, viewOf: (name) => values[name]!, field, log });
  const counter = counterNames(config).find((name) => source.entries.get(name)?.dtype === 'I64');
  const updates = counter === undefined ? 0 : await source.integer(counter);
  return { source, config, parameters, values, updates };
}

/** The files of a directory that open_clip loads strictly. Throws `model_config_invalid` for a model that open_clip has not. */
export function* openClipExport(model: LoadedModel): Generator<OutputFile> {
  const { config, parameters, values, updates } = model;
  if (config.projection !== undefined) {
    throw fieldError('model_config_invalid', {
      path: 'projection',
      message: 'is an MLP, and open_clip has linear projections only',
      value: config.projection,
      remedy: 'Export the towers as ONNX files (`--format onnx`), or train with `model.projection.type: linear`.',
    });
  }
  yield {
    name: OPEN_CLIP_WEIGHTS_FILE,
    body: parametersImage(parameters, (name) => values[name]!, {
      names: counterNames(config),
      value: updates,
    }).chunks(),
  };
  yield* companions(model, openClipReadme(factsOf(model)));
}

/** Both towers as .onnx files. Throws `engine_unsupported`. */
export function* onnxExport(model: LoadedModel, batch: number | 'open'): Generator<OutputFile> {
  const metadata = { logit_scale: String(factsOf(model).scale) };
  yield { name: 'visual.onnx', body: towerOnnx(model, 'image', batch, metadata) };
  yield { name: 'textual.onnx', body: towerOnnx(model, 'text', batch, metadata) };
  yield* companions(model, onnxReadme(factsOf(model), batch));
}

function* companions({ source, config, values }: LoadedModel, readme: string): Generator<OutputFile> {
  // open_clip gives a model a logit bias only when its config has one to begin with.
  const bias = values.logit_bias === undefined ? {} : { init_logit_bias: values.logit_bias[0] };
  const modelConfig = { ...bias, ...((source.modelConfig as object | undefined) ?? config) };
  const preprocess = source.preprocess ?? PREPROCESSING;
  yield { name: CONFIG_FILE, body: jsonBytes({ model_cfg: modelConfig, preprocess_cfg: preprocess }) };
  if (source.tokenizer !== undefined) yield { name: EXPORTED_TOKENIZER_FILE, body: jsonBytes(source.tokenizer) };
  const tokenizer = tokenizerOf(source);
  if (tokenizer?.type === 'bpe')
    yield { name: MERGES_FILE, body: gzipSync(formatVocabulary(new BpeVocabulary(tokenizer.merges))) };
  yield { name: 'README.md', body: Buffer.from(readme) };
}

/** Undefined for what is no tokenizer of ours. */
function tokenizerOf({ tokenizer }: WeightSource): SerializedTokenizer | undefined {
  const parsed = serializedTokenizerSchema.safeParse(tokenizer);
  return parsed.success ? parsed.data : undefined;
}

function factsOf({ source, config, values }: LoadedModel): ReadmeFacts {
  const scale = Math.exp(values[LOGIT_SCALE]![0]!);
  return { where: source.where, config, scale, tokenizer: tokenizerOf(source)?.type };
}

function towerOnnx(
  { config, values }: LoadedModel,
  which: 'image' | 'text',
  batch: number | 'open',
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const specs = parameterSpecs(config);
  const tower = (samples: number) => towerFunction(which, { config, parameters: specs, samples });
  const fn = (inputs: Record<string, Tensor>): Record<string, Tensor> => {
    if (which === 'text') {
      return { text_embeds: tower(0).fn({ ...inputs, tokens: inputs.input_ids! }).text! };
    }
    const images = tf.transpose(inputs.pixel_values!, [0, 2, 3, 1]);
    return { image_embeds: tower(0).fn({ ...inputs, images }).image! };
  };
  const inputsOf = (samples: number) => {
    const { images, tokens, ends: _, ...weights } = tower(samples).inputs;
    const size = config.vision_cfg.image_size;
    return which === 'text'
      ? { ...weights, input_ids: tokens! }
      : { ...weights, pixel_values: { shape: [images!.shape[0]!, 3, size, size] } };
  };
  const { input_ids: _ids, pixel_values: _pixels, ...names } = inputsOf(1) as Record<string, unknown>;
  const weights = Object.fromEntries(Object.keys(names).map((name) => [name, values[name]!]));
  return exportOnnx(fn, inputsOf, { name: `${which} tower`, batch, weights, metadata });
}
