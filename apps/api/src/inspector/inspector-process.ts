import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { ClipyardError } from '@clipyard/contracts';
import type {
  InspectorAnswer,
  InspectorCall,
  InspectorCalls,
  InspectorRequest,
  InspectorStart,
} from './inspector-messages.js';

/** Time to open a checkpoint: to read its weights and to embed the pictures. */
const OPEN_TIMEOUT_MS = 180_000;
/** Time for one answer after that. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Heap of the process, MiB; weights and pictures lie outside of it, and have limits of their own. */
const HEAP_MIB = 1024;

/** The process that looks into one checkpoint. One request at a time. */
export class InspectorProcess {
  readonly #child: ChildProcess;

  /** Throws what opening the checkpoint throws, and `inspector_failed`. */
  static async open(script: string, env: NodeJS.ProcessEnv, start: InspectorStart): Promise<InspectorProcess> {
    const child = fork(script, {
      env,
      execArgv: [`--max-old-space-size=${HEAP_MIB}`],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const opened = new InspectorProcess(child);
    try {
      await opened.#request({ type: 'open', start }, OPEN_TIMEOUT_MS);
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    // What it could not do is told by the request at hand.
    child.on('error', () => undefined);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || !this.#child.connected;
  }

  async ask<C extends InspectorCall>(call: C, ask: InspectorCalls[C]['ask']): Promise<InspectorCalls[C]['answer']> {
    const request = { type: 'call', call, ask } as InspectorRequest;
    return (await this.#request(request, ANSWER_TIMEOUT_MS)) as InspectorCalls[C]['answer'];
  }

  /** Ends it at once: it holds nothing that would be lost. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  async #request(request: InspectorRequest, timeoutMs: number): Promise<unknown> {
    const child = this.#child;
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(failed(`did not answer in ${timeoutMs / 1000} s`)), timeoutMs);
    const onExit = (code: number | null, signal: string | null) =>
      over.abort(failed(`ended with ${signal ?? `exit code ${code}`}`));
    const onError = (error: Error) => over.abort(failed(`cannot run: ${error.message}`));
    child.once('exit', onExit).once('error', onError);
    try {
      if (this.ended) throw failed('has ended');
      const answered = once(child, 'message', { signal: over.signal });
      child.send(request);
      const [answer] = (await answered) as [InspectorAnswer];
      if (answer.ok) return answer.answer;
      throw ClipyardError.deserialize(answer.error);
    } catch (error) {
      if (over.signal.aborted) throw over.signal.reason;
      throw error;
    } finally {
      clearTimeout(timer);
      child.off('exit', onExit).off('error', onError);
    }
  }
}

const failed = (how: string): ClipyardError =>
  new ClipyardError(
    'inspector_failed',
    `The process that looks into the checkpoint ${how}. Try again; its log is that of the API.`,
  );
