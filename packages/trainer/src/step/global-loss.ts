import type { Group, RunSpec } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import {
  type ContrastiveLoss,
  type ContrastiveLossOptions,
  type ContrastiveLossOutputs,
  type ContrastiveLossResult,
  compileContrastiveLoss,
} from '@clipyard/loss';
import { gatherDuplicateKeys } from './duplicate-keys.js';
import type { GatheredEmbeddings } from './gathered-embeddings.js';
import type { RunPlan } from './run-plan.js';
import type { StepBatch } from './tower-passes.js';
import type { TrainState } from './train-state.js';

export interface GlobalLossOptions {
  readonly loss: RunSpec['loss'];
  readonly plan: RunPlan;
  /** D. */
  readonly dimension: number;
}

/** The loss that a run spec asks for, with what it needs of a batch beside the embeddings. */
export class GlobalLoss {
  private constructor(
    private readonly group: Group,
    private readonly options: GlobalLossOptions,
    private readonly loss: ContrastiveLoss,
  ) {}

  static async create(
    { engine, group }: { readonly engine: Engine; readonly group: Group },
    options: GlobalLossOptions,
  ): Promise<GlobalLoss> {
    return new GlobalLoss(group, options, await compileContrastiveLoss(engine, lossOptions(options)));
  }

  /** On all ranks together: the loss of the global batch, and its gradient by this rank's embeddings. */
  async run(
    batch: StepBatch,
    { image_BD, text_BD }: GatheredEmbeddings,
    { logitScale, logitBias }: Pick<TrainState, 'logitScale' | 'logitBias'>,
    outputs: ContrastiveLossOutputs,
    signal: AbortSignal,
  ): Promise<ContrastiveLossResult> {
    const { group, options } = this;
    const { maskDuplicates: of } = options.loss;
    const duplicateKeys_B2 =
      of === 'none' ? undefined : await gatherDuplicateKeys(group, options.plan, of, batch, signal);
    const inputs = { imageEmb_BD: image_BD, textEmb_BD: text_BD, logitScale, logitBias, duplicateKeys_B2 };
    return await this.loss.run({ ...inputs, group, signal }, outputs);
  }

  dispose(): Promise<void> {
    return this.loss.dispose();
  }
}

function lossOptions({ loss, plan, dimension }: GlobalLossOptions): ContrastiveLossOptions {
  const common = {
    localRows: plan.localBatch,
    globalRows: plan.globalBatch,
    dimension,
    maskDuplicates: loss.maskDuplicates !== 'none',
  };
  switch (loss.type) {
    case 'clip':
      return { type: 'clip', ...common, labelSmoothing: loss.labelSmoothing };
    case 'siglip':
      return { type: 'siglip', ...common };
  }
}
