import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';

/**
 * Stops the server some time after its owner vanished without a word (SIGKILL), unless a new owner has come by then.
 * A shell waits for the end of a pipe, which the kernel closes with the owner. Not on Windows.
 */
export class Watchdog {
  #child: ChildProcess | undefined;

  async watch(options: { ownerFile: string; postmasterPid: number; graceMs: number }): Promise<void> {
    if (process.platform === 'win32') return;
    const token = randomUUID();
    await writeFile(options.ownerFile, token, { mode: 0o600 });
    const script = 'read -r _; sleep "$1"; [ "$(cat "$2" 2>/dev/null)" = "$3" ] && kill -INT "$4"';
    const seconds = String(Math.ceil(options.graceMs / 1000));
    this.#child = spawn(
      '/bin/sh',
      ['-c', script, 'sh', seconds, options.ownerFile, token, String(options.postmasterPid)],
      {
        detached: true,
        cwd: '/',
        stdio: ['pipe', 'ignore', 'ignore'],
      },
    );
    await new Promise<void>((resolve, reject) => {
      this.#child!.once('spawn', resolve);
      this.#child!.once('error', reject);
    });
    this.#child.unref();
    (this.#child.stdin as unknown as { unref(): void }).unref();
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}
