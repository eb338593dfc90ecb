import { spawn } from 'node:child_process';

export interface ChildResult {
  /** Undefined: there is no such program. */
  readonly code: number | undefined;
  /** How it ended, when not by itself. */
  readonly ending: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Characters of each stream that are kept: the last ones. */
const MAX_OUTPUT_CHARS = 64 * 1024;

/** Runs a program to its end or for at most `timeoutMs`. Rejects when `signal` aborts. */
export function runChild(
  command: string,
  args: readonly string[],
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { signal }),
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        texts[name] = (texts[name] + text).slice(-MAX_OUTPUT_CHARS);
      });
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve({ code: undefined, ending: undefined, ...texts });
      else reject(error);
    });
    child.once('close', (code, ending) => {
      // After ENOENT this comes too, and settles nothing.
      resolve({ code: code ?? -1, ending: ending ?? undefined, ...texts });
    });
  });
}
