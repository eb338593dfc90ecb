import { isAbsolute, relative, resolve, sep } from 'node:path';
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
