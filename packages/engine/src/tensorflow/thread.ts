import assert from 'node:assert';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ClipyardError } from '@clipyard/contracts';
import type { TypedArray } from '../engine.js';
import { prepareEnvironment } from './environment.js';
import type { Answer, Call, Greeting, Request, ThreadData } from './protocol.js';

export interface ThreadOptions {
  readonly bindingPath: string;
  /** Threads of one operation. */
  readonly threads: number;
  /** Number of the rank on this host: ranks take the GPUs in turn; unset: TensorFlow chooses. */
  readonly slot: number | undefined;
}

interface Waiting {
  readonly resolve: (results: Record<string, TypedArray>) => void;
  readonly reject: (error: Error) => void;
}

let shared: Promise<TensorFlowThread> | undefined;

/**
 * TensorFlow of this process, in a thread of its own. There is one, as the binding has one context; it stays until the
 * process ends, which it does not keep from ending. The first user chooses threads and GPU.
 */
export class TensorFlowThread {
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  private ended: Error | undefined;

  private constructor(
    private readonly worker: Worker,
    readonly version: string,
    readonly gpu: boolean,
  ) {
    worker.on('message', (answer: Answer) => this.settle(answer));
    worker.on('error', (error) => this.end(error));
    worker.on('exit', (code) => this.end(new Error(`its thread ended with code ${code}`)));
    worker.unref();
  }

  /** Throws `engine_unavailable` with what the loader says. */
  static async open(options: ThreadOptions): Promise<TensorFlowThread> {
    shared ??= TensorFlowThread.start(options);
    try {
      return await shared;
    } catch (error) {
      shared = undefined;
      throw error;
    }
  }

  private static async start({ bindingPath, threads, slot }: ThreadOptions): Promise<TensorFlowThread> {
    prepareEnvironment(threads, slot);
    // From the sources, which tests import, too: a thread runs what was built.
    const script = new URL('../../dist/tensorflow/thread-main.js', import.meta.url);
    const worker = new Worker(script, { workerData: { bindingPath } satisfies ThreadData });
    const [greeting] = (await once(worker, 'message')) as [Greeting];
    if (greeting.type === 'failed') {
      await worker.terminate();
      throw new ClipyardError(
        'engine_unavailable',
        `The binding of TensorFlow does not load: ${greeting.error}. Build it again with \`clipyard engines build tensorflow\`.`,
      );
    }
    return new TensorFlowThread(worker, greeting.version, greeting.gpu);
  }

  /** Rejects with what TensorFlow says. */
  call(request: Request): Promise<Record<string, TypedArray>> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    const call = this.calls++;
    return new Promise((resolve, reject) => {
      if (this.waiting.size === 0) this.worker.ref();
      this.waiting.set(call, { resolve, reject });
      this.worker.postMessage({ call, request } satisfies Call);
    });
  }

  private settle({ call, error, results = {} }: Answer): void {
    const waiting = this.waiting.get(call);
    assert(waiting !== undefined, 'an answer to no call');
    this.waiting.delete(call);
    if (this.waiting.size === 0) this.worker.unref();
    if (error === undefined) waiting.resolve(results);
    else waiting.reject(new Error(error));
  }

  private end(error: Error): void {
    this.ended ??= error;
    shared = undefined;
    for (const { reject } of this.waiting.values()) reject(this.ended);
    this.waiting.clear();
  }
}
