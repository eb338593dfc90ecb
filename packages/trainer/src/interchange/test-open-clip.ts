import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../../../scripts/reference/open_clip_round_trip.py', import.meta.url));

/** The real open_clip in a Python process, which does one thing after another. */
export class OpenClip {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  /** Its versions and those of PyTorch; known after the first `run`. */
  versions: unknown;

  constructor(python: string) {
    this.#child = spawn(python, [SCRIPT, 'serve'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.on('error', () => {}); // told by the end of its lines
    this.#child.stdin.on('error', () => {});
    this.#reader = createInterface(this.#child.stdout);
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** One command of the script. Throws what went wrong there. */
  async run(...command: string[]): Promise<void> {
    this.versions ??= await this.#answer();
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    const { error } = (await this.#answer()) as { error?: string };
    if (error !== undefined) throw new Error(`open_clip: ${error}`);
  }

  close(): void {
    this.#child.stdin.end();
    this.#reader.close();
    this.#child.kill();
  }

  async #answer(): Promise<unknown> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`The Python of ${SCRIPT} ended`);
    return JSON.parse(line.value);
  }
}
