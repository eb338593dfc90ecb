import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface HomeLock {
  release(): Promise<void>;
}

/**
 * Claims a home for this process, so that one `clipyard up` runs in it; undefined when another living process has it.
 * A claim that a killed process left is taken over.
 */
export async function claimHome(home: string): Promise<HomeLock | undefined> {
  await mkdir(home, { recursive: true });
  const file = join(home, 'up.lock');
  const own = await identityOf(process.pid);
  for (;;) {
    try {
      await writeFile(file, own!, { flag: 'wx' });
      return { release: () => rm(file, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = await readOr(file, undefined);
    if (holder === undefined) continue;
    const pid = Number.parseInt(holder, 10);
    // An empty file is one that is just being written, or whose writer died at once.
    if (holder !== '' && (await identityOf(pid)) === holder) return undefined;
    await rm(file, { force: true });
  }
}

/** The process with its start time, where the system tells it, since process ids are used again; undefined when it is gone. */
async function identityOf(pid: number): Promise<string | undefined> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined;
    // EPERM: it lives, under another account.
  }
  const stat = await readOr(`/proc/${pid}/stat`, '');
  // Field 22, counted after the name in parentheses, which may hold spaces.
  const startedAt = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return `${pid} ${startedAt ?? ''}`.trim();
}

async function readOr<T>(file: string, missing: T): Promise<string | T> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return missing;
    throw error;
  }
}
