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
export type { Initializer } from './initializers.js';
export { clipTokenizer, loadTokenizer, serializedTokenizerSchema } from './load-tokenizer.js';
export { featureWidth, isResNet, type ModelConfig, parseModelConfig, type TextConfig } from './model-config.js';
export { type PaperRecipe, paperRecipe } from './paper-recipe.js';
export {
  counterNames,
  frozenLayout,
  initializeParameters,
  type ParameterGroup,
  parameterCount,
  parameterGroups,
  parameterLayout,
  parameterSpecs,
} from './parameters.js';
export { drawPatches, type KeptPatches, keptCount } from './patch-dropout.js';
export { type ModelChoice, presetNames, resolveModelConfig } from './presets.js';
export { type Observe, type TrainingNorm, updateRunningStatistics } from './resnet.js';
export { normOrder } from './resnet-parameters.js';
export type { ParameterSpec } from './spec-list.js';
export { pooledRows } from './text-pooling.js';
export type { SerializedTokenizer, Tokenizer } from './tokenizer.js';
export { checkModel } from './tokenizer-fit.js';
export {
  encodeImage,
  encodeText,
  type ImageTowerOptions,
  imageFeatures,
  projectImage,
  type TowerOptions,
} from './towers.js';
export type { Parameters } from './transformer-block.js';
export { buildWordTokenizer, WordTokenizer } from './word-tokenizer.js';
