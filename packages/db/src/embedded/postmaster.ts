import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { isAlive } from './cluster.js';
import type { Layout } from './layout.js';

/** Log of the embedded server above which it is begun anew, bytes. */
const LOG_BYTES = 16 << 20;

/** What `postmaster.pid` says of the server that last ran in a cluster. */
export interface PostmasterFile {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

export interface Postmaster {
  readonly child: ChildProcess;
  /** Where the messages of this start begin in the log, bytes. */
  readonly logStart: number;
}

export async function readPostmasterFile(dataDir: string): Promise<PostmasterFile | undefined> {
  try {
    const lines = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n');
    return { pid: Number(lines[0]), port: Number(lines[3] ?? 0), ready: lines[7]?.trim() === 'ready' };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Removes a postmaster.pid whose process id now belongs to something else, as after a reboot or in a new container:
 * PostgreSQL itself takes any living process of its own account for a server, and refuses to start.
 */
export async function removeStalePostmasterFile(dataDir: string, file: PostmasterFile): Promise<void> {
  if (!isAlive(file.pid)) return;
  let command: string;
  try {
    command = await readFile(`/proc/${file.pid}/cmdline`, 'utf8');
  } catch (error) {
    // Without /proc (macOS), or gone in the meantime: leave the judgement to PostgreSQL.
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return;
    throw error;
  }
  if (!command.includes('postgres')) await rm(join(dataDir, 'postmaster.pid'), { force: true });
}

/** Small and quick, and as safe against a crash as PostgreSQL's defaults when `durable`. */
function settings(port: number, durable: boolean): Record<string, string | number> {
  return {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '64MB',
    wal_level: 'minimal',
    max_wal_senders: 0,
    max_wal_size: '256MB',
    min_wal_size: '32MB',
    jit: 'off',
    max_parallel_workers_per_gather: 0,
    // The default shared memory of a container is too small for the parallel queries that the line above forbids.
    dynamic_shared_memory_type: process.platform === 'win32' ? 'windows' : 'mmap',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'warning',
    client_min_messages: 'warning',
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
  };
}

/** Starts the server in its own process group, so that Ctrl-C at the terminal reaches us first. */
export async function spawnPostmaster(layout: Layout, port: number, durable: boolean): Promise<Postmaster> {
  const log = await open(layout.logFile, 'a', 0o600);
  try {
    if ((await log.stat()).size > LOG_BYTES) await log.truncate();
    const logStart = (await log.stat()).size;
    const args = Object.entries(settings(port, durable)).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(join(layout.binaries.root, 'bin', 'postgres'), ['-D', layout.dataDir, ...args], {
      ...layout.runAs,
      cwd: layout.dataDir,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    return { child, logStart };
  } finally {
    await log.close();
  }
}

/** The last lines of the server's log, for messages. */
export async function logTail(layout: Layout): Promise<string> {
  return (await readFile(layout.logFile, 'utf8')).trim().split('\n').slice(-5).join(' | ').slice(-1000);
}

/** Why a server that we started has ended; it may be that another process was quicker, which writes to the same log. */
export async function reasonOfEnd(layout: Layout, { child, logStart }: Postmaster): Promise<'beaten' | 'failed'> {
  const text = (await readFile(layout.logFile)).subarray(logStart).toString('utf8');
  const own = text.split('\n').filter((line) => line.includes(`[${child.pid}]`));
  // The port was taken in the meantime, or another server runs or has not quite stopped in the same cluster.
  const beaten = /Address already in use|lock file "postmaster\.pid"|shared memory block/;
  return own.some((line) => beaten.test(line)) ? 'beaten' : 'failed';
}

/** Whether something answers on a port of the loopback interface. */
export async function accepts(port: number): Promise<boolean> {
  if (!(port > 0)) return false;
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A port of the loopback interface: `preferred` when it is free. */
export async function freePort(preferred: number): Promise<number> {
  return (await tryListen(preferred)) ?? (await tryListen(0))!;
}

function tryListen(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : undefined;
      server.close(() => resolve(bound));
    });
  });
}
