export {
  type ContrastiveLoss,
  type ContrastiveLossInputs,
  type ContrastiveLossOptions,
  type ContrastiveLossOutputs,
  type ContrastiveLossResult,
  compileContrastiveLoss,
} from './contrastive-loss.js';
