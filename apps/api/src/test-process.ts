import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The built main file of an app. */
export const appMain = (app: 'api' | 'worker'): string =>
  fileURLToPath(new URL(`../../${app}/dist/main.js`, import.meta.url));

/** For tests: a process of this checkout, run by this Node.js, with its output kept for the message of a failure. */
export class TestProcess {
  readonly #child: ChildProcess;
  #output = '';
  readonly ended: Promise<ProcessEnd>;
  /** Resolves with the first message on the IPC channel; rejects with the output when the process ends before. */
  readonly announced: Promise<unknown>;

  static async start(script: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<TestProcess> {
    const child = spawn(process.execPath, [script, ...args], { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const started = new TestProcess(child);
    await once(child, 'spawn');
    return started;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
    this.announced = new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('close', (code) => reject(new Error(`${child.spawnargs[1]} ended with ${code}:\n${this.#output}`)));
    });
    // Whoever does not wait for it need not handle its end either.
    this.announced.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it has written so far, both streams. */
  get output(): string {
    return this.#output;
  }

  /** Asks it to end and waits; idempotent. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ProcessEnd> {
    this.#child.kill(signal);
    return await this.ended;
  }
}
