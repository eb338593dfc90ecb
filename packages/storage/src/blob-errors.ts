import { fieldError } from '@clipyard/contracts';

/** `url`: of the store. */
export const notFound = (key: string, url: string) =>
  fieldError('not_found', {
    path: 'key',
    message: `there is no blob \`${key}\` in ${url}`,
    value: key,
    remedy: 'List the store to see what it holds.',
  });
