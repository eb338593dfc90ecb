import { lstat, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fieldError } from '@clipyard/contracts';

/** The path of a data file named by a run spec. Throws `spec_invalid` for another scheme or a file outside `dataDir`. */
export function resolveDataPath(dataDir: string, url: string, path: string): string {
  const remedy = 'Name a file below the data directory, such as `emoji/train-00000.tar`.';
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) {
    throw fieldError('spec_invalid', {
      path,
      message: `\`${url}\` is of a scheme that is not read here`,
      value: url,
      remedy,
    });
  }
  if (url.includes('\0'))
    throw fieldError('spec_invalid', { path, message: 'contains a NUL character', value: url, remedy });
  const resolved = resolve(dataDir, url);
  if (!isInside(dataDir, resolved)) {
    throw fieldError('spec_invalid', {
      path,
      message: `\`${url}\` lies outside the data directory`,
      value: url,
      remedy,
    });
  }
  return resolved;
}

/**
 * As `resolveDataPath`, with links followed. A link that lies directly in the data directory is its administrator's and counts
 * as part of it; any other that leads out is refused. A file that is not there is for the caller to miss.
 */
export async function realDataPath(dataDir: string, url: string, path: string): Promise<string> {
  const resolved = resolveDataPath(dataDir, url, path);
  if (!(await leadsOut(dataDir, resolved))) return resolved;
  throw fieldError('spec_invalid', {
    path,
    message: `\`${url}\` leads out of the data directory by a link`,
    value: url,
    remedy: 'Put the file itself there, or link its directory into the data directory itself.',
  });
}

/** Whether links lead from a path in the data directory to somewhere else. */
export async function leadsOut(dataDir: string, path: string): Promise<boolean> {
  const real = await realPath(path);
  const root = await realPath(dataDir);
  if (real === undefined || root === undefined || isInside(root, real)) return false;
  const [first = ''] = relative(resolve(dataDir), path).split(sep);
  const entry = join(dataDir, first);
  if (!(await lstat(entry)).isSymbolicLink()) return true;
  const linked = await realPath(entry);
  return linked === undefined || !isInside(linked, real);
}

/** Undefined where nothing is. */
async function realPath(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Whether `path` is `directory` or below it, by name alone. */
export function isInside(directory: string, path: string): boolean {
  const way = relative(resolve(directory), path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** The error of a data file that is not in `place`, the data directory or a place in S3. */
export const missingFile = (path: string, url: string, place: string) =>
  fieldError('data_not_found', {
    path,
    message: `there is no file \`${url}\` in ${place}`,
    value: url,
    remedy: place.startsWith('s3://')
      ? 'Put it there, or correct the name.'
      : 'Put it there, correct the name, or set CLIPYARD_DATA_DIR on the worker to the directory that holds it.',
  });
