import type { Group } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import type { RunPlan } from './run-plan.js';

/** Embeddings of one or more rows of both towers. */
export interface Embeddings {
  readonly image: Float32Array;
  readonly text: Float32Array;
}

/**
 * The embeddings of the global batch, on every rank. A micro-batch's travel while the next one is encoded. Legend: B global
 * batch, b rows of this rank, m micro-batch, D embedding dimension.
 */
export class GatheredEmbeddings {
  readonly image_BD: Float32Array;
  readonly text_BD: Float32Array;
  private readonly group: Group;
  private gathers: Promise<void>[] = [];

  constructor(
    deps: { readonly engine: Engine; readonly group: Group },
    private readonly plan: RunPlan,
    private readonly dimension: number,
  ) {
    this.group = deps.group;
    this.image_BD = deps.engine.allocate('float32', plan.globalBatch * dimension);
    this.text_BD = deps.engine.allocate('float32', plan.globalBatch * dimension);
  }

  /** Of all rows, [B,D] each. */
  get all(): Embeddings {
    return { image: this.image_BD, text: this.text_BD };
  }

  /** Where this rank's micro-batch is to be written, [m,D] each. */
  own(micro: number): Embeddings {
    const { plan, dimension } = this;
    const first = (plan.rank * plan.localBatch + micro * plan.microBatch) * dimension;
    const part = (emb_BD: Float32Array) => emb_BD.subarray(first, first + plan.microBatch * dimension);
    return { image: part(this.image_BD), text: part(this.text_BD) };
  }

  /** Begins to exchange a micro-batch that has been written; all ranks in the same order. */
  send(micro: number, signal: AbortSignal): void {
    if (this.plan.worldSize === 1) return;
    const { image, text } = this.own(micro);
    const row = micro * this.plan.microBatch;
    const started = [this.gather(image, this.image_BD, row, signal), this.gather(text, this.text_BD, row, signal)];
    // Marked as handled: a failure is thrown by `arrived`, after what runs meanwhile.
    for (const gather of started) gather.catch(() => {});
    this.gathers.push(...started);
  }

  /** Resolves when all that was sent is here from all ranks. Throws what the group throws. */
  async arrived(): Promise<void> {
    const { gathers } = this;
    this.gathers = [];
    await Promise.all(gathers);
  }

  /** Brings the same rows of every rank into the gathered embeddings. */
  private async gather(own_mD: Float32Array, emb_BD: Float32Array, row: number, signal: AbortSignal): Promise<void> {
    const { plan, dimension } = this;
    const gathered = new Float32Array(plan.worldSize * own_mD.length);
    await this.group.allGather(own_mD, gathered, { signal });
    for (let rank = 0; rank < plan.worldSize; rank++) {
      if (rank === plan.rank) continue;
      const first = (rank * plan.localBatch + row) * dimension;
      emb_BD.set(gathered.subarray(rank * own_mD.length, (rank + 1) * own_mD.length), first);
    }
  }
}
