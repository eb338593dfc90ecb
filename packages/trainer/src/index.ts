export { type TrainDeps, type TrainOptions, train } from './train.js';
export type { TrainLog } from './train-log.js';
