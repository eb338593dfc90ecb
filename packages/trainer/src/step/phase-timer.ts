export type StepPhase = 'encode' | 'communicate' | 'loss' | 'backward' | 'optimizer';

/** Adds up how long each phase of the steps took, in ms. */
export class PhaseTimer<Phase extends string> {
  private totals = new Map<Phase, number>();

  async time<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.totals.set(phase, (this.totals.get(phase) ?? 0) + performance.now() - start);
    }
  }

  /** The totals since the last call. */
  take(): ReadonlyMap<Phase, number> {
    const taken = this.totals;
    this.totals = new Map();
    return taken;
  }
}
