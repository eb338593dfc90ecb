import type { Group } from '@clipyard/contracts';
import { type ParameterSpec, updateRunningStatistics } from '@clipyard/model';
import { FlatLayout } from '@clipyard/tensor';
import { statisticName } from './tower-programs.js';

/**
 * Keeps the running statistics of batch norm the same on every rank. A step moves them once, towards the statistics of the
 * global batch, or where batch norm is local the mean of those of all its micro-batches: so they do not depend on how
 * micro-batches fall to ranks, and one micro-batch on one rank gives PyTorch's.
 */
export class RunningStatistics {
  private readonly views: Readonly<Record<string, Float32Array>>;
  private readonly sums: Float32Array;
  private readonly sumViews: Readonly<Record<string, Float32Array>>;
  /** Micro-batches in the sums. */
  private observed = 0;

  constructor(specs: readonly ParameterSpec[], viewOf: (name: string) => Float32Array) {
    const running = specs.filter((spec) => spec.running === true);
    this.views = Object.fromEntries(running.map(({ name }) => [name, viewOf(name)]));
    const layout = new FlatLayout(running);
    this.sums = new Float32Array(layout.total);
    this.sumViews = layout.views(this.sums);
  }

  /** Adds what a micro-batch's program tells, by the names of its outputs. */
  observe(results: Readonly<Record<string, ArrayLike<number>>>): void {
    for (const [name, sum] of Object.entries(this.sumViews)) {
      const values = results[statisticName(name)]!;
      for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
    }
    this.observed++;
  }

  /** Takes a value of the global batch, which every rank knows, by the buffer's name. */
  set(name: string, values: ArrayLike<number>): void {
    this.sumViews[name]!.set(values);
  }

  /** On all ranks together, once a step. */
  async update(group: Group, signal: AbortSignal): Promise<void> {
    if (this.sums.length === 0) return;
    if (this.observed > 0) {
      if (group.worldSize > 1) await group.allReduce(this.sums, 'sum', { signal });
      const count = this.observed * group.worldSize;
      this.sums.forEach((sum, i) => {
        this.sums[i] = sum / count;
      });
    }
    updateRunningStatistics(this.views, this.sumViews);
    this.sums.fill(0);
    this.observed = 0;
  }
}
