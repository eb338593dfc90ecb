export type { Tensor } from '@tensorflow/tfjs-core';
export type { CompileReport, OnCompile } from './compile-report.js';
export type {
  Buffers,
  CompileOptions,
  ComputePrecision,
  DType,
  Engine,
  Program,
  Specs,
  Stage,
  StagedProgram,
  TensorFunction,
  TensorSpec,
  TypedArray,
} from './engine.js';
export type { GraphCost } from './graph/cost.js';
export { traceGraph } from './graph/trace.js';
export { type EngineStatus, listEngines } from './list-engines.js';
export { exportOnnx, type OnnxExportOptions } from './onnx/export-onnx.js';
export { type OnnxInput, runOnnx } from './onnx/run-onnx.js';
export { type OpenEngineOptions, openEngine } from './open-engine.js';
export { attention } from './ops/attention.js';
export {
  type BatchStatistics,
  batchNorm,
  type CotangentMeans,
  fixedNorm,
  globalBatchNorm,
  type NormExchange,
} from './ops/batch-norm.js';
export { checkpoint } from './ops/checkpoint.js';
export { averagePool, convolution, relu } from './ops/convolution.js';
export { columnSum, gemm, matmul } from './ops/fused.js';
export { geluLinear } from './ops/gelu-linear.js';
export { l2Normalize, linear, rows, silu } from './ops/layers.js';
export { layerNorm, normLinear } from './ops/norms.js';
export { type BuildOptions, buildTensorFlow } from './tensorflow/build/build-tensorflow.js';
export { findTensorFlow, type Installation } from './tensorflow/installation.js';
export { tf } from './tfjs.js';
