import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface ServiceOptions {
  readonly name: string;
  /** The main file, run by this Node.js. */
  readonly script: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where its output goes; what an earlier run left is kept once, as `<logFile>.1`. */
  readonly logFile: string;
  /** Time to end after SIGTERM before it is killed, ms. */
  readonly stopGraceMs: number;
}

export interface ServiceEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const LOG_TAIL_LINES = 12;

/**
 * A process of ours: in a process group of its own, so that Ctrl-C reaches only us and we end things in order, and on
 * an IPC channel, whose end tells it that we are gone.
 */
export class Service {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #stopGraceMs: number;
  /** Resolves when the process has ended. */
  readonly ended: Promise<ServiceEnd>;
  /** Resolves with the first message that the process sends. */
  readonly announced: Promise<unknown>;

  static async start(options: ServiceOptions): Promise<Service> {
    await mkdir(dirname(options.logFile), { recursive: true });
    await rename(options.logFile, `${options.logFile}.1`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    const log = await open(options.logFile, 'a', 0o600);
    try {
      const child = spawn(process.execPath, [options.script, ...options.args], {
        env: options.env,
        detached: true,
        stdio: ['ignore', log.fd, log.fd, 'ipc'],
      });
      await once(child, 'spawn');
      return new Service(options, child);
    } finally {
      await log.close();
    }
  }

  private constructor(options: ServiceOptions, child: ChildProcess) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#stopGraceMs = options.stopGraceMs;
    this.#child = child;
    this.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    this.announced = new Promise((resolve) => child.once('message', resolve));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Asks it to end, and kills it when it does not. */
  async stop(): Promise<ServiceEnd> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), this.#stopGraceMs);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The last lines of its log, for people. */
  async logTail(): Promise<string[]> {
    const lines = (await readFile(this.logFile, 'utf8')).trimEnd().split('\n');
    return lines.slice(-LOG_TAIL_LINES).map(readable);
  }
}

/** A JSON line of a log as `level message`, with the code of an error; anything else as it is. */
export function readable(line: string): string {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return line;
    throw error;
  }
  if (typeof entry !== 'object' || entry === null || !('msg' in entry)) return line;
  const { time = '', level = '', msg, code, err } = entry as Record<string, unknown>;
  const { message = '' } = (typeof err === 'object' && err !== null ? err : {}) as { message?: unknown };
  return [time, level, code, msg, message === msg ? '' : message]
    .filter((part) => part !== '' && part !== undefined)
    .map(String)
    .join(' ');
}
