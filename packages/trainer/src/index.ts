export { type EvaluateDeps, evaluateRun } from './evaluate-run.js';
export { CheckpointInspector, type InspectedCheckpoint, type InspectorDeps } from './inspect/checkpoint-inspector.js';
export {
  type LoadedModel,
  loadModel,
  type OutputFile,
  onnxExport,
  openClipExport,
} from './interchange/export-model.js';
export { importedCheckpoint, manifestFile } from './interchange/import-model.js';
export type { WeightSource } from './interchange/weight-source.js';
export { openWeights } from './interchange/weights-file.js';
export { type TrainOptions, train } from './train.js';
export type { TrainDeps } from './train-deps.js';
export type { TrainLog } from './train-log.js';
