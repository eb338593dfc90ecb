import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { ClipyardError, type LogLevel, type RankToWorker, type WorkerToRank } from '@clipyard/contracts';
import type { RankEnd } from '@clipyard/control';
import { onLines } from './log-lines.js';

/** How long the pipes of a process that has ended may take to run empty, ms. */
const DRAIN_LIMIT_MS = 2_000;

export interface RankProcessOptions {
  /** The main file of the rank. */
  readonly script: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Time to end after `stop` before SIGTERM, without and with a checkpoint to be written, ms. */
  readonly stopGraceMs: number;
  readonly saveGraceMs: number;
  /** Time from SIGTERM to SIGKILL, ms. */
  readonly killGraceMs: number;
}

export interface RankProcessEvents {
  /** Messages but the last ones (`done`, `stopped`, `failed`), which `ended` tells. */
  onMessage(message: Exclude<RankToWorker, { type: 'done' | 'stopped' | 'failed' }>): void;
  /** A line that it wrote to stdout (`info`) or stderr (`warn`). */
  onOutput(level: LogLevel, line: string): void;
}

/** A rank's process, from fork to its end. In a process group of its own: Ctrl-C reaches the worker only. */
export class RankProcess {
  readonly #child: ChildProcess;
  readonly #options: RankProcessOptions;
  #saidLast: RankEnd | undefined;
  #stopping: 'save' | 'now' | undefined;
  /** SIGTERM and SIGKILL to come. */
  #signals: NodeJS.Timeout[] = [];
  /** There is nothing left to stop; timers set now would outlive it. */
  #gone = false;
  /** Why we killed it, as what its end is recorded then. */
  #killedAs: RankEnd | undefined;
  /** Resolves when the process is gone and all it had said is known. */
  readonly ended: Promise<RankEnd>;

  constructor(events: RankProcessEvents, options: RankProcessOptions) {
    this.#options = options;
    this.#child = fork(options.script, {
      env: options.environment,
      serialization: 'advanced',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    // Without a listener a signal that cannot be sent would end the worker.
    this.#child.on('error', (error) => events.onOutput('warn', `The rank process: ${error.message}`));
    this.#child.on('message', (message) => this.#receive(message as RankToWorker, events));
    onLines(this.#child.stdout!, (line) => events.onOutput('info', line));
    onLines(this.#child.stderr!, (line) => events.onOutput('warn', line));
    this.ended = this.#untilEnd();
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  send(message: WorkerToRank): void {
    // A process that is gone does not read it; its end is told by `ended`.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /** Asks it to stop after its step, with a checkpoint (`save`) or without; then less and less politely. */
  stop(reason: string, { save }: { save: boolean }): void {
    const how = save ? 'save' : 'now';
    if (this.#gone || this.#stopping === 'now' || this.#stopping === how) return;
    this.#stopping = how;
    this.send({ type: 'stop', reason, save });
    const { stopGraceMs, saveGraceMs, killGraceMs } = this.#options;
    const graceMs = save ? saveGraceMs : stopGraceMs;
    this.#clearSignals();
    this.#signals = [
      setTimeout(() => this.#child.kill('SIGTERM'), graceMs),
      setTimeout(() => this.#child.kill('SIGKILL'), graceMs + killGraceMs),
    ];
  }

  #clearSignals(): void {
    for (const timer of this.#signals) clearTimeout(timer);
  }

  /** Ends it at once; `ended` resolves with `end` unless it said something else before. */
  kill(end: RankEnd): void {
    this.#killedAs ??= end;
    this.#child.kill('SIGKILL');
  }

  async #untilEnd(): Promise<RankEnd> {
    const drained = Promise.all([once(this.#child, 'close'), once(this.#child, 'disconnect')]);
    drained.catch(() => {});
    try {
      const [code, signal] = (await once(this.#child, 'exit')) as [number | null, NodeJS.Signals | null];
      // Messages and output may still lie in the pipes.
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, DRAIN_LIMIT_MS).unref())]);
      return this.#judge(code, signal);
    } catch (error) {
      return lost(`The rank process could not be started: ${(error as Error).message}`);
    } finally {
      this.#gone = true;
      this.#clearSignals();
    }
  }

  #judge(code: number | null, signal: NodeJS.Signals | null): RankEnd {
    if (this.#saidLast !== undefined) return this.#saidLast;
    if (this.#killedAs !== undefined) return this.#killedAs;
    if (this.#stopping !== undefined) return { state: 'stopped' };
    return lost(
      signal === null
        ? `The rank process ended with exit code ${code} and said nothing`
        : `The rank process was killed by ${signal}`,
    );
  }

  #receive(message: RankToWorker, events: RankProcessEvents): void {
    switch (message.type) {
      case 'done':
        this.#saidLast = { state: 'succeeded' };
        return;
      case 'stopped':
        this.#saidLast = { state: 'stopped' };
        return;
      case 'failed':
        this.#saidLast ??= { state: 'failed', error: message.error };
        return;
      default:
        events.onMessage(message);
    }
  }
}

const lost = (message: string): RankEnd => ({
  state: 'lost',
  error: new ClipyardError('rank_lost', message).serialize(),
});
