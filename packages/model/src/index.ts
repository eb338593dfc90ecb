export { type FineTuning, fineTune, runParameters } from './fine-tuning.js';
export { type ModelConfig, parseModelConfig } from './model-config.js';
export {
  frozenLayout,
  type Initializer,
  initializeParameters,
  type ParameterGroup,
  type ParameterSpec,
  parameterGroups,
  parameterLayout,
  parameterSpecs,
} from './parameters.js';
export { presetNames, resolveModelConfig } from './presets.js';
export type { SerializedTokenizer, Tokenizer } from './tokenizer.js';
export {
  encodeImage,
  encodeText,
  endOfTextRows,
  imageFeatures,
  type Parameters,
  projectImage,
} from './towers.js';
export { buildWordTokenizer, loadTokenizer, WordTokenizer } from './word-tokenizer.js';
