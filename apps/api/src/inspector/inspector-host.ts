import { availableParallelism } from 'node:os';
import { type Checkpoint, ClipyardError, fieldError, LIMITS, type RunSpec } from '@clipyard/contracts';
import type { InspectorCall, InspectorCalls } from './inspector-messages.js';
import { InspectorProcess } from './inspector-process.js';

export interface InspectorHostOptions {
  /** Main file of the process. */
  readonly script: string;
  readonly env: NodeJS.ProcessEnv;
  readonly storageUrl: string;
  readonly dataDir: string;
  readonly cacheDir: string;
  /** It ends when nobody has asked for so long, ms; default 5 minutes. */
  readonly idleMs?: number;
}

export interface OpenableCheckpoint {
  readonly checkpoint: Checkpoint;
  /** Where its files lie in the store. */
  readonly prefix: string;
  readonly spec: RunSpec;
}

/** Requests that wait for their turn; more are refused. */
const MAX_WAITING = 64;
const MOST_THREADS = 2;
const WEIGHTS = 'model.safetensors';

/** Looks into checkpoints: one process, for one checkpoint, at a time; it starts when it is asked and ends when it is idle. */
export class InspectorHost {
  readonly #options: InspectorHostOptions;
  #open: { readonly id: string; readonly process: InspectorProcess } | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: InspectorHostOptions) {
    this.#options = options;
  }

  /** The process that runs now, if one does. */
  get pid(): number | undefined {
    return this.#open?.process.pid;
  }

  /** Throws what opening the checkpoint throws, `engine_out_of_memory` for one that is too large, `inspector_failed`. */
  async ask<C extends InspectorCall>(
    of: OpenableCheckpoint,
    call: C,
    ask: InspectorCalls[C]['ask'],
  ): Promise<InspectorCalls[C]['answer']> {
    refuseLarge(of.checkpoint);
    if (this.#waiting >= MAX_WAITING)
      throw new ClipyardError('inspector_failed', `${MAX_WAITING} requests wait already. Try again in a moment.`);
    this.#waiting++;
    const answer = this.#turn.then(async () => {
      clearTimeout(this.#idle);
      try {
        return await (await this.#processFor(of)).ask(call, ask);
      } catch (error) {
        if (error instanceof ClipyardError && error.code === 'inspector_failed') await this.#end();
        throw error;
      } finally {
        this.#waiting--;
        this.#idle = setTimeout(() => void this.#end(), this.#options.idleMs ?? 5 * 60_000);
        this.#idle.unref();
      }
    });
    this.#turn = answer.catch(() => undefined);
    return await answer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    await this.#end();
  }

  async #processFor({ checkpoint, prefix, spec }: OpenableCheckpoint): Promise<InspectorProcess> {
    if (this.#closed) throw new ClipyardError('inspector_failed', 'The server is ending. Try again in a moment.');
    if (this.#open?.id === checkpoint.id && !this.#open.process.ended) return this.#open.process;
    await this.#end();
    const { script, env, storageUrl, dataDir, cacheDir } = this.#options;
    const { step, manifestSha256 } = checkpoint;
    const threads = Math.min(MOST_THREADS, availableParallelism());
    const start = { checkpoint: { step, prefix, manifestSha256 }, spec, storageUrl, dataDir, cacheDir, threads };
    const process = await InspectorProcess.open(script, env, start);
    this.#open = { id: checkpoint.id, process };
    return process;
  }

  async #end(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.process.close();
  }
}

function refuseLarge({ files }: Checkpoint): void {
  const bytes = files.find(({ name }) => name === WEIGHTS)?.bytes ?? 0;
  if (bytes <= LIMITS.inspectedWeightsBytes) return;
  throw fieldError('engine_out_of_memory', {
    path: 'checkpoint',
    message: `has more weights than the API opens, which is ${LIMITS.inspectedWeightsBytes} bytes`,
    value: bytes,
    remedy: 'Measure it with a job of type `evaluate` on a worker.',
  });
}
