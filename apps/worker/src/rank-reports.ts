import { type CheckpointRecord, ClipyardError, LIMITS, type RankReport, type RankState } from '@clipyard/contracts';
import type { LogEntry, NodeControl, RankEnd, RankKey } from '@clipyard/control';
import type { Logger } from '@clipyard/runtime';
import { isStale, untilAnswered } from './control-retry.js';

/** Metrics and logs wait this long for more of their kind, ms. */
const BATCH_MS = 200;
/** Reports in one call. */
const BATCH_SIZE = 500;

type ReportOf<T extends RankReport['type']> = Extract<RankReport, { type: T }>;
type StateReport = { type: 'state'; state: RankState; details?: { pid?: number; host?: string; port?: number } };
type Write = StateReport | ReportOf<'plan' | 'metrics' | 'checkpoint' | 'evaluation'>;

export interface RankReportsDeps {
  readonly control: NodeControl;
  readonly logger: Logger;
  /** The attempt no longer holds the job: whatever the rank does is in vain. */
  onStale(): void;
  onRecorded(step: number, expired: readonly { step: number; prefix: string }[]): void;
  /** The checkpoint cannot be recorded, and the rank would wait for the answer. */
  onRefused(error: ClipyardError): void;
}

/**
 * Carries the reports of one rank to the control plane: in their order, many in one call, kept while the database is out
 * of reach. Metrics and logs beyond `LIMITS.logBacklog` push out the oldest of their kind, and the log says how many.
 */
export class RankReports {
  readonly #deps: RankReportsDeps;
  readonly #key: RankKey;
  readonly #writes: Write[] = [];
  readonly #logs: LogEntry[] = [];
  #metricsWaiting = 0;
  #dropped = { metrics: 0, logs: 0 };
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;
  #stale = false;

  constructor(deps: RankReportsDeps, key: RankKey) {
    this.#deps = deps;
    this.#key = key;
  }

  /** Reports and log lines that are not written yet. */
  get waiting(): number {
    return this.#writes.length + this.#logs.length;
  }

  /** Takes a report; it is written soon. */
  add(report: Write | ReportOf<'log'>): void {
    if (report.type === 'log') {
      const { type: _, ...entry } = report;
      this.#logs.push(entry);
      this.#dropped.logs += this.#logs.splice(0, this.#logs.length - LIMITS.logBacklog).length;
    } else if (!this.#stale) {
      this.#writes.push(report);
      if (report.type === 'metrics' && ++this.#metricsWaiting > LIMITS.logBacklog) {
        this.#writes.splice(
          this.#writes.findIndex(({ type }) => type === 'metrics'),
          1,
        );
        this.#metricsWaiting--;
        this.#dropped.metrics++;
      }
    }
    this.#schedule(report.type === 'metrics' || report.type === 'log' ? BATCH_MS : 0);
  }

  /** Writes everything that waits, then the end of the rank; resolves when that is recorded. */
  async end(end: RankEnd): Promise<void> {
    await this.#flush();
    const { control } = this.#deps;
    try {
      await this.#untilAnswered(() => control.recordRankEnd(this.#key, end));
    } catch (error) {
      this.#deps.logger.error({ ...this.#key, err: error }, 'the end of a rank could not be recorded');
    }
  }

  #schedule(delayMs: number): void {
    if (this.#flushing !== undefined) return;
    if (delayMs === 0) void this.#flush();
    else this.#timer ??= setTimeout(() => void this.#flush(), delayMs);
  }

  /** Only one flush runs; it takes what is added meanwhile too. */
  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing ??= this.#writeAll().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #writeAll(): Promise<void> {
    while (this.#writes.length > 0 || this.#logs.length > 0) {
      if (this.#writes.length > 0) await this.#writeNext();
      else await this.#writeLogs();
    }
  }

  async #writeNext(): Promise<void> {
    const report = this.#writes.shift()!;
    const { control } = this.#deps;
    const key = this.#key;
    try {
      switch (report.type) {
        case 'state':
          return await this.#untilAnswered(() => control.recordRankState(key, report.state, report.details));
        case 'plan': {
          const { type: _, ...plan } = report;
          return await this.#untilAnswered(() => control.recordPlan(key, plan));
        }
        case 'metrics':
          return await this.#writeMetrics(report);
        case 'evaluation': {
          const { type: _, ...evaluation } = report;
          return await this.#untilAnswered(() => control.recordEvaluation(key, evaluation));
        }
        case 'checkpoint':
          return await this.#writeCheckpoint(report.checkpoint);
      }
    } catch (error) {
      this.#failed(error, report);
    }
  }

  async #writeMetrics(first: ReportOf<'metrics'>): Promise<void> {
    const reports = [first];
    for (let next = this.#writes[0]; next?.type === 'metrics' && reports.length < BATCH_SIZE; next = this.#writes[0]) {
      reports.push(next);
      this.#writes.shift();
    }
    this.#metricsWaiting -= reports.length;
    const batch = reports.map(({ step, at, values }) => ({ step, at, values }));
    await this.#untilAnswered(() => this.#deps.control.recordMetrics(this.#key, batch));
  }

  async #writeCheckpoint(checkpoint: CheckpointRecord): Promise<void> {
    const expired = await this.#untilAnswered(() => this.#deps.control.recordCheckpoint(this.#key, checkpoint));
    this.#deps.onRecorded(checkpoint.step, expired);
  }

  async #writeLogs(): Promise<void> {
    const entries = this.#logs.splice(0, BATCH_SIZE);
    const { logs, metrics } = this.#dropped;
    if (logs + metrics > 0) {
      this.#dropped = { metrics: 0, logs: 0 };
      const message = `${logs} log lines and ${metrics} metric reports were dropped while the database was out of reach`;
      entries.push({ at: Date.now(), level: 'warn', message });
    }
    try {
      await this.#untilAnswered(() => this.#deps.control.recordLogs(this.#key, entries));
    } catch (error) {
      this.#failed(error, { type: 'log' });
    }
  }

  #failed(error: unknown, report: Write | { type: 'log' }): void {
    const { logger } = this.#deps;
    if (isStale(error)) {
      if (this.#stale) return;
      this.#stale = true;
      this.#writes.length = 0;
      logger.warn({ ...this.#key, reason: (error as Error).message }, 'the attempt is stale');
      this.#deps.onStale();
      return;
    }
    logger.error({ ...this.#key, report: report.type, err: error }, 'a report could not be recorded');
    if (report.type === 'checkpoint') this.#deps.onRefused(ClipyardError.from(error));
  }

  #untilAnswered<T>(action: () => Promise<T>): Promise<T> {
    return untilAnswered(action, {
      onRetry: (error, delayMs) =>
        this.#deps.logger.warn({ ...this.#key, reason: (error as Error).message, delayMs }, 'a report has to wait'),
    });
  }
}
