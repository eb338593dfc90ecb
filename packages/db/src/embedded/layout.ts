import { createHash, randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, mkdtemp, readFile, readlink, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ClipyardError } from '@clipyard/contracts';
import { type Account, isReachable, pickAccount, type RunAs } from './account.js';
import { copyBinaries, hydrateSymlinks, linkTarget, locateBinaries, type PostgresBinaries } from './binaries.js';

/** Where the embedded PostgreSQL of one home keeps its parts. */
export interface Layout {
  readonly runAs: RunAs;
  readonly binaries: PostgresBinaries;
  /** The cluster, a path free of symlinks that the account of PostgreSQL can reach. */
  readonly dataDir: string;
  readonly passwordFile: string;
  readonly portFile: string;
  readonly ownerFile: string;
  readonly logFile: string;
}

/** Directories for data and binaries when root's home hides them from the account of PostgreSQL. */
const SYSTEM_DIRECTORY = '/var/lib/clipyard';

/**
 * Lays out `directory`. As root, where the directory or node_modules lie in a folder that no other account may enter,
 * the cluster and a copy of the binaries live under /var/lib/clipyard (or the temporary directory), and `data` in the
 * directory is a symlink to the cluster.
 */
export async function prepareLayout(directory: string): Promise<Layout> {
  await mkdir(directory, { recursive: true });
  const home = await realpath(directory);
  const link = join(home, 'data');
  const target = await linkTarget(link);
  const runAs = await pickAccount(target ?? link);
  const stays = runAs === undefined || (await isDirectory(link)) || (await isReachable(link, runAs));
  const place = target ?? (stays ? link : await relocate(link, home));
  if (runAs !== undefined && !(await isReachable(place, runAs))) {
    throw new ClipyardError(
      'config_invalid',
      `The account that PostgreSQL runs as (uid ${runAs.uid}) cannot reach ${place}. Let it pass through the directories above, move CLIPYARD_HOME, or set DATABASE_URL.`,
    );
  }
  return {
    runAs,
    binaries: await reachableBinaries(home, runAs),
    dataDir: place,
    passwordFile: join(home, 'password'),
    portFile: join(home, 'port'),
    ownerFile: join(home, 'owner'),
    logFile: join(home, 'postgres.log'),
  };
}

/** The password of the database, made on first use, readable by its owner only. */
export async function readPassword(file: string): Promise<string> {
  try {
    await writeFile(file, randomBytes(24).toString('base64url'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return (await readFile(file, 'utf8')).trim();
}

async function reachableBinaries(home: string, runAs: RunAs): Promise<PostgresBinaries> {
  const installed = await locateBinaries();
  const root = await realpath(installed.root);
  const complete = await hydrateSymlinks(root);
  if (runAs === undefined) return complete ? { ...installed, root } : await copyBinaries(installed, home);
  if (complete && (await isReachable(join(root, 'bin', 'postgres'), runAs))) return { ...installed, root };
  return await copyBinaries(installed, await sharedDirectory(home, runAs));
}

async function relocate(link: string, home: string): Promise<string> {
  const account = await pickAccount(link);
  const base = await sharedDirectory(home, account!);
  const place = join(base, createHash('sha256').update(home).digest('hex').slice(0, 16), 'data');
  await mkdir(dirname(place), { recursive: true, mode: 0o755 });
  try {
    await symlink(place, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return await readlink(link);
  }
  return place;
}

/** A directory of root's that `account` may enter; the choice of a temporary one is remembered in the home. */
async function sharedDirectory(home: string, account: Account): Promise<string> {
  const remembered = join(home, 'shared');
  const known = await linkTarget(remembered);
  if (known !== undefined && (await isOurs(known))) return known;
  try {
    await mkdir(SYSTEM_DIRECTORY, { recursive: true, mode: 0o755 });
    if ((await isOurs(SYSTEM_DIRECTORY)) && (await isReachable(join(SYSTEM_DIRECTORY, 'x'), account))) {
      return SYSTEM_DIRECTORY;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM') throw error;
  }
  // A fixed name in a directory that everybody may write could have been laid by somebody else.
  const temporary = await mkdtemp(join(await realpath(tmpdir()), 'clipyard-'));
  await chmod(temporary, 0o755);
  await rm(remembered, { force: true });
  await symlink(temporary, remembered);
  return temporary;
}

async function isOurs(directory: string): Promise<boolean> {
  if (!(await isDirectory(directory))) return false;
  const found = await lstat(directory);
  return found.uid === process.getuid?.() && (found.mode & 0o022) === 0;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
