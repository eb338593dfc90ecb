import { strict as assert } from 'node:assert';
import { readFile, writeFile } from 'node:fs/promises';
import { ClipyardError } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import { ensureCluster, isAlive, ROLE } from './cluster.js';
import { type Layout, prepareLayout, readPassword } from './layout.js';
import {
  accepts,
  freePort,
  logTail,
  type PostmasterFile,
  readPostmasterFile,
  reasonOfEnd,
  removeStalePostmasterFile,
  spawnPostmaster,
} from './postmaster.js';
import { UserLock } from './user-lock.js';
import { Watchdog } from './watchdog.js';

export interface EmbeddedPostgresOptions {
  /** Holds the data, the password and the log; made when missing. */
  readonly directory: string;
  /** Preferred port; default: the one used last. Another is taken when it is in use. */
  readonly port?: number;
  /** False for tests: quicker, and lost with the machine. Default true. */
  readonly durable?: boolean;
  /** How long the server outlives an owner that was killed, ms. Default 60,000. */
  readonly orphanGraceMs?: number;
}

/** Time for the embedded PostgreSQL to start, ms. */
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 15;
/** Between two looks whether the server still runs. */
const WATCH_MS = 500;
const DATABASE = 'clipyard';

interface Session {
  readonly lock: UserLock;
  readonly postmaster: PostmasterFile;
  readonly url: string;
}

/**
 * A real PostgreSQL server from npm, on the loopback interface, with its data in a directory of ours. It is shared by
 * the processes that name the same directory, and stops with the last of them; one left by a killed process is used on.
 */
export class EmbeddedPostgres {
  readonly #options: Required<Omit<EmbeddedPostgresOptions, 'port'>> & { port: number | undefined };
  readonly #watchdog = new Watchdog();
  #session: Session | undefined;

  constructor(options: EmbeddedPostgresOptions) {
    this.#options = { durable: true, orphanGraceMs: 60_000, port: undefined, ...options };
  }

  /** The connection URL; only between `start` and `stop`. */
  get url(): string {
    if (this.#session === undefined) throw new Error('the embedded PostgreSQL is not running');
    return this.#session.url;
  }

  /** Starts the server or joins the running one. Throws `database_unavailable`, `config_invalid`. */
  async start(options: { signal?: AbortSignal } = {}): Promise<string> {
    if (this.#session !== undefined) return this.#session.url;
    const signal = AbortSignal.any([
      AbortSignal.timeout(START_TIMEOUT_MS),
      ...(options.signal ? [options.signal] : []),
    ]);
    const layout = await prepareLayout(this.#options.directory);
    const password = await readPassword(layout.passwordFile);
    await ensureCluster(layout, password, this.#options.durable);
    for (;;) {
      options.signal?.throwIfAborted();
      if (signal.aborted) throw await unavailable(layout, signal.reason);
      const postmaster = await this.#running(layout, signal);
      if (postmaster === undefined) continue;
      const lock = await UserLock.join(connectionUrl(password, postmaster.port, 'postgres'), DATABASE);
      if (lock === undefined) {
        await sleep(POLL_MS);
        continue;
      }
      this.#session = { lock, postmaster, url: connectionUrl(password, postmaster.port, DATABASE) };
      try {
        const graceMs = this.#options.orphanGraceMs;
        await this.#watchdog.watch({ ownerFile: layout.ownerFile, postmasterPid: postmaster.pid, graceMs });
        await writeFile(layout.portFile, String(postmaster.port));
      } catch (error) {
        await this.stop();
        throw error;
      }
      return connectionUrl(password, postmaster.port, DATABASE);
    }
  }

  /**
   * Starts the server again whenever it ends while we use it, as when somebody killed it: those who use it connect anew.
   * Resolves at the abort of `signal`, which comes before `stop`; throws `database_unavailable` when the server cannot
   * run again at its address.
   */
  async keepUp({ signal, onRestart }: { signal: AbortSignal; onRestart: () => void }): Promise<void> {
    try {
      for (;;) {
        await sleep(WATCH_MS, { signal });
        if (await this.#startAgain()) onRestart();
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error;
    }
  }

  /** False when the server runs. */
  async #startAgain(): Promise<boolean> {
    const session = this.#session;
    assert(session !== undefined, 'the server is kept up only between start and stop');
    if (isAlive(session.postmaster.pid)) return false;
    this.#watchdog.stop();
    await session.lock.close();
    this.#session = undefined;
    const url = await this.start();
    if (url === session.url) return true;
    const { port } = new URL(session.url);
    throw new ClipyardError('database_unavailable', `PostgreSQL ended, and another program has its port ${port} now`);
  }

  /** Leaves the server, and stops it when nobody else uses it. */
  async stop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    this.#watchdog.stop();
    if (await session.lock.leave()) await shutDown(session.postmaster.pid);
    await session.lock.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** The server that runs in the cluster, started if there is none; undefined: look again. */
  async #running(layout: Layout, signal: AbortSignal): Promise<PostmasterFile | undefined> {
    const found = await readPostmasterFile(layout.dataDir);
    if (found !== undefined) {
      await removeStalePostmasterFile(layout.dataDir, found);
      if (isAlive(found.pid) && (await accepts(found.port))) return found;
    }
    const port = await freePort(this.#options.port ?? (await lastPort(layout)));
    const started = await spawnPostmaster(layout, port, this.#options.durable);
    const { child } = started;
    const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
    while (!hasEnded() && !signal.aborted) {
      const own = await readPostmasterFile(layout.dataDir);
      if (own?.pid === child.pid && own?.ready) return own;
      await sleep(POLL_MS);
    }
    if (!hasEnded()) {
      process.kill(child.pid!, 'SIGQUIT');
      return undefined;
    }
    if ((await reasonOfEnd(layout, started)) === 'failed') throw await unavailable(layout, undefined);
    await sleep(100);
    return undefined;
  }
}

async function shutDown(pid: number): Promise<void> {
  // PostgreSQL's fast shutdown, which ends open connections and writes everything out; then the immediate one.
  for (const [kill, waitMs] of [
    ['SIGINT', 30_000],
    ['SIGQUIT', 5_000],
  ] as const) {
    if (!isAlive(pid)) return;
    process.kill(pid, kill);
    for (const end = performance.now() + waitMs; isAlive(pid) && performance.now() < end; ) await sleep(POLL_MS);
  }
}

function connectionUrl(password: string, port: number, database: string): string {
  return `postgresql://${ROLE}:${password}@127.0.0.1:${port}/${database}`;
}

async function lastPort(layout: Layout): Promise<number> {
  try {
    return Number(await readFile(layout.portFile, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

async function unavailable(layout: Layout, cause: unknown): Promise<ClipyardError> {
  return new ClipyardError(
    'database_unavailable',
    `The embedded PostgreSQL did not start; the end of ${layout.logFile}: ${await logTail(layout)}`,
    { cause },
  );
}
