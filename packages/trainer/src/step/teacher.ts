import type { Group } from '@clipyard/contracts';
import type { Engine, Program } from '@clipyard/engine';
import type { TeacherEmbeddings } from '@clipyard/loss';
import type { ModelConfig } from '@clipyard/model';
import { GatheredEmbeddings } from './gathered-embeddings.js';
import { MicroBatches, type PlacedBatch } from './micro-batches.js';
import type { RunPlan } from './run-plan.js';
import { compileTeacher } from './tower-programs.js';
import type { TrainState } from './train-state.js';

/** A model that is not trained, for another to learn from. */
export interface TeacherWeights extends Pick<TrainState, 'specs' | 'towerViews'> {
  readonly config: ModelConfig;
  readonly logitScale: number;
}

/** Embeds the samples that the student trains on, without a tape. */
export class Teacher {
  private constructor(
    private readonly weights: TeacherWeights,
    private readonly microBatches: MicroBatches,
    private readonly embeddings: GatheredEmbeddings,
    private readonly encoder: Program,
  ) {}

  static async create(
    deps: { readonly engine: Engine; readonly group: Group },
    weights: TeacherWeights,
    plan: RunPlan,
  ): Promise<Teacher> {
    const { config, specs } = weights;
    const microBatches = new MicroBatches(deps.engine, weights, { config, plan, seed: 0 }, false);
    const embeddings = new GatheredEmbeddings(deps, plan, config.embed_dim);
    const options = { config, parameters: specs, samples: plan.microBatch, compute: 'fp32' as const };
    const encoder = await compileTeacher(deps.engine, options);
    return new Teacher(weights, microBatches, embeddings, encoder);
  }

  /** On all ranks together: the embeddings of the global batch, valid until the next call. */
  async embed(batch: PlacedBatch, signal: AbortSignal): Promise<TeacherEmbeddings> {
    const { embeddings, microBatches } = this;
    for (let micro = 0; micro < microBatches.count; micro++) {
      await this.encoder.run(microBatches.inputs(batch, micro), { ...embeddings.own(micro) });
      embeddings.send(micro, signal);
    }
    await embeddings.arrived();
    const { image_BD, text_BD } = embeddings;
    return { imageEmb_BD: image_BD, textEmb_BD: text_BD, logitScale: this.weights.logitScale };
  }

  dispose(): Promise<void> {
    return this.encoder.dispose();
  }
}
