export { type TrainOptions, train } from './train.js';
export type { TrainDeps } from './train-deps.js';
export type { TrainLog } from './train-log.js';
