import type { Page, RunSpec, Sweep, SweepSpec, SweepState, Trial } from '@clipyard/contracts';

/** What the API needs of sweeps. Unknown ids, and those of projects that the caller does not see, throw `sweep_not_found`. */
export interface SweepPlane {
  /**
   * Makes the trials, validates each (`checkTrial` besides what a job's spec must fulfil), and stores the sweep, which
   * then begins by itself. The same key and spec again returns the first. Throws what `planTrials` throws.
   */
  submit(
    spec: SweepSpec,
    options?: { idempotencyKey?: string; project?: string; checkTrial?: (spec: RunSpec) => void },
  ): Promise<{ sweep: Sweep; created: boolean }>;
  get(sweepId: string): Promise<Sweep>;
  list(query: { project?: string; state?: SweepState; cursor?: string; limit: number }): Promise<Page<Sweep>>;
  /** By index. */
  trials(sweepId: string): Promise<readonly Trial[]>;
  /** Starts and promotes no trial until it is resumed, and pauses the jobs that run. Throws `sweep_state_conflict`. */
  pause(sweepId: string): Promise<Sweep>;
  resume(sweepId: string): Promise<Sweep>;
  /** Ends it: its open jobs are cancelled soon. Throws `sweep_state_conflict`. */
  cancel(sweepId: string): Promise<Sweep>;
}
