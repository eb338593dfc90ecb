import type { BlobStore } from '@clipyard/contracts';
import type { TrainLog } from '../train-log.js';
import { type ScalarEvent, scalarRecord, sessionStartRecord, versionRecord } from './event-records.js';

/** Reports that are kept while the store cannot be written; older ones are dropped. */
const BACKLOG = 10_000;

export interface TensorBoardLogDeps {
  readonly store: Pick<BlobStore, 'put'>;
  readonly log: TrainLog;
}

/**
 * The metrics of a run as event files that TensorBoard reads, in parts below `runs/<job>/tensorboard/`: a store cannot
 * append. A part is written with each checkpoint, so what is lost with a rank is what is trained again. An attempt that
 * resumes says from which step on it replaces what was written before.
 */
export class TensorBoardLog {
  private events: ScalarEvent[] = [];
  private parts = 0;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly deps: TensorBoardLogDeps,
    private readonly options: { readonly jobId: string; readonly epoch: number; readonly startStep: number },
  ) {}

  add(event: ScalarEvent): void {
    this.events.push(event);
    if (this.events.length > BACKLOG) this.events.shift();
  }

  /** Begins to write what was added; a failure is logged, and the events stay for the next part. */
  flush(): void {
    this.writing = this.writing.then(() => this.write());
  }

  /** Resolves when everything that was added is written, or has failed to be. */
  async close(): Promise<void> {
    this.flush();
    await this.writing;
  }

  private async write(): Promise<void> {
    const { events } = this;
    if (events.length === 0) return;
    this.events = [];
    const { jobId, epoch, startStep } = this.options;
    const at = events[0]!.at;
    const start = this.parts === 0 ? [sessionStartRecord(at, startStep + 1)] : [];
    const body = Buffer.concat([versionRecord(at), ...start, ...events.map(scalarRecord)]);
    // TensorBoard takes files in the order of their names.
    const numbers = [[epoch, 6] as const, [this.parts, 6] as const].map(([number, digits]) =>
      String(number).padStart(digits, '0'),
    );
    try {
      await this.deps.store.put(`runs/${jobId}/tensorboard/events.out.tfevents.${numbers.join('.')}.clipyard`, body);
      this.parts++;
    } catch (error) {
      this.deps.log('warn', `The metrics for TensorBoard could not be written: ${(error as Error).message}`);
      this.events = [...events, ...this.events].slice(-BACKLOG);
    }
  }
}
