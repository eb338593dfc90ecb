export { BpeTokenizer } from './bpe/bpe-tokenizer.js';
export { BpeVocabulary, MAX_BPE_VOCABULARY, mergeCount, vocabularySize } from './bpe/bpe-vocabulary.js';
export { type TrainBpeOptions, type TrainBpeProgress, type TrainedBpe, trainBpe } from './bpe/train-bpe.js';
export {
  formatVocabulary,
  MAX_VOCABULARY_BYTES,
  type ParseVocabularyOptions,
  parseVocabulary,
} from './bpe/vocabulary-file.js';
export { configForLoss, type FineTuning, fineTune, runParameters } from './fine-tuning.js';
export { clipTokenizer, loadTokenizer, serializedTokenizerSchema } from './load-tokenizer.js';
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
export { drawPatches, type KeptPatches, keptCount } from './patch-dropout.js';
export { type ModelChoice, presetNames, resolveModelConfig } from './presets.js';
export type { SerializedTokenizer, Tokenizer } from './tokenizer.js';
export { checkModel } from './tokenizer-fit.js';
export {
  encodeImage,
  encodeText,
  endOfTextRows,
  type ImageTowerOptions,
  imageFeatures,
  type Parameters,
  projectImage,
  type TowerOptions,
} from './towers.js';
export { buildWordTokenizer, WordTokenizer } from './word-tokenizer.js';
