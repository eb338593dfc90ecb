import type { Duplicates } from '../duplicates.js';

/**
 * The part of smoothed targets that is spread over all pairs u that a row is contrasted with, K of them. It is linear in the logits, so
 * sums of embeddings give it exactly: Σ_j u_ij·A_ij = s·I_i·Σ_j u_ij·T_j, in O(B·D) for all rows, without a tile.
 * Legend: B global rows, D embedding dimension.
 */
export class SpreadTargets {
  private readonly sum_D: Float64Array;
  private readonly byCount_D: Float64Array;
  /** Results of the last call of `of`. */
  private readonly contrasted_D: Float64Array;
  private readonly weighted_D: Float64Array;

  constructor(
    private readonly emb_BD: Float32Array,
    private readonly D: number,
    private readonly duplicates: Duplicates | undefined,
  ) {
    this.sum_D = new Float64Array(D);
    this.byCount_D = new Float64Array(D);
    this.contrasted_D = new Float64Array(D);
    this.weighted_D = new Float64Array(D);
    for (let sample = 0; sample < this.B; sample++) {
      const count = this.count(sample);
      for (let k = 0; k < D; k++) {
        const value = emb_BD[sample * D + k]!;
        this.sum_D[k]! += value;
        this.byCount_D[k]! += value / count;
      }
    }
  }

  private get B(): number {
    return this.emb_BD.length / this.D;
  }

  /** K: with how many samples `sample` is contrasted, itself included. */
  count(sample: number): number {
    return this.B - (this.duplicates?.countOthers(sample) ?? 0);
  }

  /**
   * For a row: Σ_j u_ij·x_j, and Σ_j u_ij·(1/K_i + 1/K_j)·x_j, x being the other side's embeddings. Valid until the next
   * call.
   */
  of(sample: number): { readonly contrasted_D: Float64Array; readonly weighted_D: Float64Array } {
    const { contrasted_D, weighted_D, D } = this;
    const count = this.count(sample);
    contrasted_D.set(this.sum_D);
    weighted_D.set(this.byCount_D);
    // Duplicates of a sample are contrasted with as many as it is.
    for (const other of this.duplicates?.others(sample) ?? []) {
      for (let k = 0; k < D; k++) {
        const value = this.emb_BD[other * D + k]!;
        contrasted_D[k]! -= value;
        weighted_D[k]! -= value / count;
      }
    }
    for (let k = 0; k < D; k++) weighted_D[k]! += contrasted_D[k]! / count;
    return { contrasted_D, weighted_D };
  }
}
