export {
  type AdamW,
  type AdamWOptions,
  type AdamWScalars,
  type AdamWState,
  type AdamWStep,
  type AdamWTensors,
  adamw,
  adamwScalars,
  compileAdamW,
  type Moments,
} from './adamw.js';
export { clipScale, gradientNorm } from './clipping.js';
export { type LbfgsOptions, type LbfgsResult, minimizeLbfgs, type Objective } from './lbfgs.js';
export { learningRate } from './schedules.js';
