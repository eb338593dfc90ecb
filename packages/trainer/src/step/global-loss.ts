import assert from 'node:assert';
import type { Group, RunSpec } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import {
  type ContrastiveLoss,
  type ContrastiveLossInputs,
  type ContrastiveLossOptions,
  type ContrastiveLossOutputs,
  type ContrastiveLossResult,
  compileContrastiveLoss,
} from '@clipyard/loss';
import { gatherDuplicateKeys } from './duplicate-keys.js';
import type { GatheredEmbeddings } from './gathered-embeddings.js';
import type { PlacedBatch } from './micro-batches.js';
import type { RunPlan } from './run-plan.js';
import { Teacher, type TeacherWeights } from './teacher.js';
import type { TrainState } from './train-state.js';

export interface GlobalLossOptions {
  readonly loss: RunSpec['loss'];
  readonly plan: RunPlan;
  /** D. */
  readonly dimension: number;
  /** Where the loss distills. */
  readonly teacher: TeacherWeights | undefined;
}

/** What the loss needs of a batch beside the embeddings. */
export type LossInputs = Pick<ContrastiveLossInputs, 'duplicateKeys_B2' | 'teacher'>;

/** The loss that a run spec asks for. */
export class GlobalLoss {
  private constructor(
    private readonly group: Group,
    private readonly options: GlobalLossOptions,
    private readonly loss: ContrastiveLoss,
    private readonly teacher: Teacher | undefined,
  ) {}

  static async create(
    deps: { readonly engine: Engine; readonly group: Group },
    options: GlobalLossOptions,
  ): Promise<GlobalLoss> {
    const loss = await compileContrastiveLoss(deps.engine, lossOptions(options));
    const teacher = options.teacher && (await Teacher.create(deps, options.teacher, options.plan));
    return new GlobalLoss(deps.group, options, loss, teacher);
  }

  /** On all ranks together: brings together what the loss needs of the batch, valid until the next call. */
  async prepare(batch: PlacedBatch, signal: AbortSignal): Promise<LossInputs> {
    const { loss, plan } = this.options;
    const of = loss.maskDuplicates;
    return {
      duplicateKeys_B2: of === 'none' ? undefined : await gatherDuplicateKeys(this.group, plan, of, batch, signal),
      teacher: await this.teacher?.embed(batch, signal),
    };
  }

  /** On all ranks together: the loss of the global batch, and its gradient by this rank's embeddings. */
  async run(
    prepared: LossInputs,
    { image_BD, text_BD }: GatheredEmbeddings,
    { logitScale, logitBias }: Pick<TrainState, 'logitScale' | 'logitBias'>,
    outputs: ContrastiveLossOutputs,
    signal: AbortSignal,
  ): Promise<ContrastiveLossResult> {
    const inputs = { ...prepared, imageEmb_BD: image_BD, textEmb_BD: text_BD, logitScale, logitBias };
    return await this.loss.run({ ...inputs, group: this.group, signal }, outputs);
  }

  async dispose(): Promise<void> {
    await this.loss.dispose();
    await this.teacher?.dispose();
  }
}

function lossOptions({ loss, plan, dimension, teacher }: GlobalLossOptions): ContrastiveLossOptions {
  const common = {
    localRows: plan.localBatch,
    globalRows: plan.globalBatch,
    dimension,
    maskDuplicates: loss.maskDuplicates !== 'none',
  };
  switch (loss.type) {
    case 'clip':
      return {
        type: 'clip',
        ...common,
        labelSmoothing: loss.labelSmoothing,
        distill: loss.distill && { ...loss.distill, dimension: teacherOf(teacher).config.embed_dim },
      };
    case 'siglip':
      return { type: 'siglip', ...common };
  }
}

function teacherOf(teacher: TeacherWeights | undefined): TeacherWeights {
  assert(teacher !== undefined, 'a loss that distills has a teacher');
  return teacher;
}
