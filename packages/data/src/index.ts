export {
  type Batch,
  BatchLoader,
  type BatchLoaderDeps,
  type BatchLoaderOptions,
  type PixelBatch,
} from './batch-loader.js';
export type { BadSample } from './batch-reader.js';
export { singleSpaced } from './caption.js';
export { type Corruption, corruptPictures } from './corruption/corrupt-picture.js';
export type { DataRoot } from './data-files.js';
export { missingFile, realDataPath, resolveDataPath } from './data-path.js';
export type { Augmentation, CaptionOptions, ClassSet, Dataset, ReadOptions, Sample, SampleGroup } from './dataset.js';
export { type EvaluationSamples, type EvaluationSamplesOptions, loadEvaluation } from './evaluation-samples.js';
export { encodePng } from './image/encode-png.js';
export { CLIP_PIXEL_STATISTICS, normalizePixels, type PixelStatistics } from './image/normalize.js';
export { isFile } from './is-file.js';
export { type OpenDatasetOptions, openDataset } from './open-dataset.js';
export { type DatasetSummary, type InspectOptions, inspectDataset } from './pack/inspect-dataset.js';
export { loadPackRecipe, type PackRecipe, type PackRecipeOptions, packRecipe } from './pack/pack-recipe.js';
export {
  type PackOptions,
  type PackProgress,
  type PackResult,
  type PackSample,
  packShards,
} from './pack/pack-shards.js';
export { Sampler, type SamplerOptions } from './sampler.js';
