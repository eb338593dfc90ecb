import type { Group } from '@clipyard/contracts';

/** The port of the losses. Legend: W ranks, b local rows, B = W·b global rows, D embedding dimension. */
interface CommonOptions {
  readonly localRows: number;
  readonly globalRows: number;
  readonly dimension: number;
  /** Samples with equal keys are no negatives of one another: such pairs count for nothing, but for a sample's own. */
  readonly maskDuplicates?: boolean;
  /** Largest tile of logits; default: whole while b·B <= 2^20, else about 512 x 2048. */
  readonly tileRows?: number;
  readonly tileColumns?: number;
}

/** CLIP's symmetric InfoNCE (Radford et al., arXiv 2103.00020). */
export interface ClipLossOptions extends CommonOptions {
  readonly type: 'clip';
  /** Share of each target, in [0,1), that is spread evenly over all pairs of the row; as PyTorch's `cross_entropy`. */
  readonly labelSmoothing?: number | undefined;
  /** Adds cross-entropies against the softmaxes of a teacher, as open_clip's DistillClipLoss; of all pairs, duplicates too. */
  readonly distill?: Distillation | undefined;
}

export interface Distillation {
  /** Of the teacher's embeddings. */
  readonly dimension: number;
  /** Factor on the distillation's loss; above 0. */
  readonly weight: number;
  /** Divides both sides' logits, and the loss is multiplied by its square (Hinton et al., arXiv 1503.02531). */
  readonly temperature: number;
}

/** SigLIP's sigmoid loss (Zhai et al., arXiv 2303.15343): the sum over all B·B pairs, divided by B. */
export interface SigLipLossOptions extends CommonOptions {
  readonly type: 'siglip';
}

export type ContrastiveLossOptions = ClipLossOptions | SigLipLossOptions;

export interface ContrastiveLossInputs {
  /** The global batch, gathered: rows of length 1, those of this rank at rank·b. Memory of the engine is not copied. */
  readonly imageEmb_BD: Float32Array;
  readonly textEmb_BD: Float32Array;
  /** ln s. */
  readonly logitScale: number;
  /** Added to each logit; softmaxes are indifferent to it. Default 0. */
  readonly logitBias?: number | undefined;
  /** For `maskDuplicates`, gathered: two numbers a sample, [B,2]. */
  readonly duplicateKeys_B2?: Int32Array | undefined;
  /** For `distill`. */
  readonly teacher?: TeacherEmbeddings | undefined;
  /** Of worldSize B/b. */
  readonly group: Group;
  readonly signal?: AbortSignal | undefined;
}

/** The teacher's embeddings of the same samples, gathered likewise; their dimension may differ. */
export interface TeacherEmbeddings {
  readonly imageEmb_BD: Float32Array;
  readonly textEmb_BD: Float32Array;
  readonly logitScale: number;
}

/** Gradients of the global loss with respect to this rank's rows; must not overlap an input. */
export interface ContrastiveLossOutputs {
  readonly dImage_bD: Float32Array;
  readonly dText_bD: Float32Array;
}

export interface ContrastiveLossResult {
  /** Of the global batch, the same on every rank. */
  readonly loss: number;
  /** With distillation: what the loss is the sum of, the weight being applied. */
  readonly parts: { readonly contrastive: number; readonly distillation: number } | undefined;
  /** This rank's share of the gradients by the logit scale and bias: the sums over ranks are the gradients. */
  readonly dLogitScale: number;
  readonly dLogitBias: number;
  /** Share of images whose own text has the highest logit of those contrasted; k equal highest ones count 1/k. */
  readonly accuracy: number;
}

export interface ContrastiveLoss {
  /** Few collectives, of O(B) bytes. Throws what the group, the engine and the signal throw. */
  run(inputs: ContrastiveLossInputs, outputs: ContrastiveLossOutputs): Promise<ContrastiveLossResult>;
  dispose(): Promise<void>;
}
