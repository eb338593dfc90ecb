import type { PhaseTimer, StepPhase } from './phase-timer.js';

/** Time between two reports, ms, unless a step takes longer. */
const REPORT_INTERVAL_MS = 500;

/** Measures steps between reports: speed and where the time went. */
export class StepMeter {
  private steps = 0;
  private dataMs = 0;
  private pausedMs = 0;
  private since = 0;
  private reports = 0;

  constructor(
    private readonly timer: PhaseTimer<StepPhase>,
    private readonly globalBatch: number,
  ) {}

  start(): void {
    this.since = performance.now();
  }

  async waitForData<T>(load: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await load();
    this.dataMs += performance.now() - start;
    return result;
  }

  /** Time that is no training, such as an evaluation. */
  async pause<T>(work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work();
    this.pausedMs += performance.now() - start;
    return result;
  }

  count(): void {
    this.steps++;
  }

  /** Whether it is time for a report: after the first step, at intervals, and where `force` wants one. */
  due(force: boolean): boolean {
    return force || this.reports === 0 || performance.now() - this.since - this.pausedMs >= REPORT_INTERVAL_MS;
  }

  /** Metrics since the last call. */
  take(): Record<string, number> {
    const now = performance.now();
    const elapsedMs = now - this.since - this.pausedMs;
    const phases = Object.fromEntries(
      [...this.timer.take()].map(([phase, ms]) => [`time/${phase}_ms`, ms / this.steps]),
    );
    const metrics = {
      'speed/samples_per_second': (this.steps * this.globalBatch * 1000) / elapsedMs,
      'time/step_ms': elapsedMs / this.steps,
      'time/data_ms': this.dataMs / this.steps,
      ...phases,
    };
    this.reports++;
    this.steps = 0;
    this.dataMs = 0;
    this.pausedMs = 0;
    this.since = now;
    return metrics;
  }
}
