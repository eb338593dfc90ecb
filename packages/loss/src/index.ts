export { compileContrastiveLoss } from './compile-contrastive-loss.js';
export type {
  ClipLossOptions,
  ContrastiveLoss,
  ContrastiveLossInputs,
  ContrastiveLossOptions,
  ContrastiveLossOutputs,
  ContrastiveLossResult,
  Distillation,
  SigLipLossOptions,
  TeacherEmbeddings,
} from './contrastive-loss.js';
