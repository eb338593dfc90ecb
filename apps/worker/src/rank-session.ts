import { ClipyardError, type RankStart, type RankToWorker } from '@clipyard/contracts';
import type { NodeControl, RankEnd, RankKey } from '@clipyard/control';
import { deferred, type Logger, sleep } from '@clipyard/runtime';
import { isStale, untilAnswered } from './control-retry.js';
import { RankProcess, type RankProcessOptions } from './rank-process.js';
import { RankReports } from './rank-reports.js';

/** Between two looks for the addresses of the other ranks, ms. */
const PEERS_POLL_MS = 100;

export interface RankSessionDeps {
  readonly control: NodeControl;
  readonly logger: Logger;
}

/** One rank on this node, from its launch until its end is recorded. */
export class RankSession {
  readonly key: RankKey;
  readonly slot: number;
  /** Resolves when the process is gone and its end is recorded. Never rejects. */
  readonly ended: Promise<void>;
  readonly #deps: RankSessionDeps;
  readonly #process: RankProcess;
  readonly #reports: RankReports;
  #step: number | undefined;
  #values: Readonly<Record<string, number>> = {};
  /** The rank is up and waits for `start`. */
  readonly #ready = deferred();
  /** Ends what the session waits for when its process is gone. */
  readonly #over = new AbortController();

  constructor(deps: RankSessionDeps, start: RankStart, options: RankProcessOptions) {
    this.#deps = deps;
    this.key = { jobId: start.jobId, epoch: start.epoch, rank: start.rank };
    this.slot = start.slot;
    this.#reports = new RankReports(
      {
        ...deps,
        onStale: () =>
          this.#process.kill(failed(new ClipyardError('attempt_stale', 'The attempt no longer holds the job'))),
        onRefused: (error) => this.#process.kill(failed(error)),
        onRecorded: (step, expired) => this.#process.send({ type: 'checkpoint.recorded', step, expired }),
      },
      this.key,
    );
    this.#process = new RankProcess(
      {
        onMessage: (message) => this.#receive(message),
        onOutput: (level, message) => this.#reports.add({ type: 'log', level, at: Date.now(), message }),
      },
      options,
    );
    this.ended = this.#attend();
    void this.#begin(start);
  }

  /** The newest value of each metric that the rank has told, and of how many steps. */
  get latest(): { readonly step: number | undefined; readonly values: Readonly<Record<string, number>> } {
    return { step: this.#step, values: this.#values };
  }

  /** What it has told and the database does not have yet. */
  get reportsWaiting(): number {
    return this.#reports.waiting;
  }

  /** Asks the rank to stop after its step; `save`: with a checkpoint of it. */
  stop(reason: string, options: { save: boolean }): void {
    this.#deps.logger.info({ ...this.key, reason, ...options }, 'stopping a rank');
    this.#process.stop(reason, options);
  }

  /** Ends the process at once: its attempt no longer holds the job. */
  kill(error: ClipyardError): void {
    this.#deps.logger.warn({ ...this.key, code: error.code, reason: error.message }, 'killing a rank');
    this.#process.kill(failed(error));
  }

  /** The rank may begin once its launch is on record: a withdrawn assignment must not run. */
  async #begin(start: RankStart): Promise<void> {
    const { pid } = this.#process;
    await this.#unlessOver(async (signal) => {
      const record = () => this.#deps.control.recordRankState(this.key, 'launching', pid === undefined ? {} : { pid });
      await untilAnswered(record, { signal });
      await this.#ready.promise;
      this.#process.send({ type: 'start', start });
    });
  }

  async #attend(): Promise<void> {
    const { logger } = this.#deps;
    logger.info({ ...this.key, slot: this.slot, pid: this.#process.pid }, 'launched a rank');
    const end = await this.#process.ended;
    this.#over.abort();
    const error = 'error' in end ? { code: end.error.code, reason: end.error.message } : {};
    logger.info({ ...this.key, state: end.state, ...error }, 'a rank ended');
    await this.#reports.end(end);
  }

  #receive(message: Exclude<RankToWorker, { type: 'done' | 'stopped' | 'failed' }>): void {
    switch (message.type) {
      case 'ready':
        this.#ready.resolve();
        return;
      case 'listening': {
        const { host, port } = message;
        this.#reports.add({ type: 'state', state: 'connecting', details: { host, port } });
        void this.#unlessOver((signal) => this.#sendPeers(signal));
        return;
      }
      case 'metrics':
        this.#step = message.step;
        this.#values = { ...this.#values, ...message.values };
        this.#reports.add(message);
        return;
      default:
        this.#reports.add(message);
    }
  }

  async #sendPeers(signal: AbortSignal): Promise<void> {
    for (;;) {
      const peers = await untilAnswered(() => this.#deps.control.peers(this.key), { signal });
      if (peers !== undefined) {
        this.#process.send({ type: 'peers', peers });
        return;
      }
      await sleep(PEERS_POLL_MS, { signal });
    }
  }

  /** Runs a part of the session that ends with the process, and ends the process when it fails. */
  async #unlessOver(part: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#over;
    try {
      await part(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!isStale(error)) this.#deps.logger.error({ ...this.key, err: error }, 'a rank cannot begin');
      this.kill(ClipyardError.from(error));
    }
  }
}

const failed = (error: ClipyardError): RankEnd => ({ state: 'failed', error: error.serialize() });
