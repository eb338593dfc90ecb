import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
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
  const own = `${file}.${process.pid}`;
  await writeFile(own, (await identityOf(process.pid))!);
  try {
    for (;;) {
      if (await linked(own, file)) return { release: () => rm(file, { force: true }) };
      const holder = await readOr(file, undefined);
      if (holder === undefined) continue;
      if ((await identityOf(Number.parseInt(holder, 10))) === holder) return undefined;
      await removeStale(file, holder);
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** Gives a whole file a second name, unless that is taken: unlike writing it there, nobody sees half of it. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** Removes the claim of a dead process; what another process claimed in the meantime is put back. */
async function removeStale(file: string, holder: string): Promise<void> {
  const aside = `${file}.${process.pid}.stale`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readOr(aside, '')) !== holder) await linked(aside, file);
  await rm(aside, { force: true });
}

/** The process with its start time, where the system tells it, since process ids are used again; undefined when it is gone. */
async function identityOf(pid: number): Promise<string | undefined> {
  if (!(pid > 0)) return undefined;
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
