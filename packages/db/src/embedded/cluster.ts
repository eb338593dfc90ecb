import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ClipyardError } from '@clipyard/contracts';
import type { Layout } from './layout.js';

export const ROLE = 'clipyard';

/** Makes the cluster unless it is there: whole or not at all, also when killed in the middle or raced by another process. */
export async function ensureCluster(layout: Layout, password: string, durable: boolean): Promise<void> {
  const { dataDir, runAs } = layout;
  if (await isCluster(layout)) return;
  const parent = dirname(dataDir);
  await mkdir(parent, { recursive: true });
  await removePartials(parent);
  const partial = join(parent, `init-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(partial, { mode: 0o700 });
  const passwordFile = `${partial}.password`;
  try {
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (runAs !== undefined) {
      await chown(partial, runAs.uid, runAs.gid);
      await chown(passwordFile, runAs.uid, runAs.gid);
    }
    const args = ['-D', partial, '-U', ROLE, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
    args.push('--encoding=UTF8', '--locale=C', ...(durable ? [] : ['--no-sync']));
    await initdb(layout, args, partial);
    await rename(partial, dataDir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process was first: its cluster has the same password, which is made once.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  } finally {
    await rm(partial, { recursive: true, force: true });
    await rm(passwordFile, { force: true });
  }
}

async function isCluster(layout: Layout): Promise<boolean> {
  let found: string;
  try {
    found = (await readFile(join(layout.dataDir, 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return false;
    if (code !== 'EACCES') throw error;
    throw new ClipyardError(
      'config_invalid',
      `The database in ${layout.dataDir} belongs to another account. Start as the account that made it, or use another CLIPYARD_HOME.`,
      { cause: error },
    );
  }
  const wanted = layout.binaries.version.split('.')[0];
  if (found === wanted) return true;
  throw new ClipyardError(
    'config_invalid',
    `The database in ${layout.dataDir} is of PostgreSQL ${found}, and this release brings PostgreSQL ${wanted}. Move it over with pg_dump and pg_restore, or use another CLIPYARD_HOME.`,
  );
}

/** What processes left that were killed while they made the cluster. */
async function removePartials(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = /^init-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(parent, name), { recursive: true, force: true });
  }
}

/** Whether a process of this id runs; one that ended and that nobody waits for (a zombie, in a container) does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    // Without /proc (macOS, Windows) kill's answer stands; with it, the process is gone since.
    return process.platform !== 'linux' || (error as NodeJS.ErrnoException).code === 'EACCES';
  }
}

async function initdb(layout: Layout, args: readonly string[], cwd: string): Promise<void> {
  const child = spawn(join(layout.binaries.root, 'bin', 'initdb'), args, {
    ...layout.runAs,
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code === 0) return;
  throw new ClipyardError('database_unavailable', `initdb ended with code ${code}: ${output.trim().slice(-2000)}`);
}
