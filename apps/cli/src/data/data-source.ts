import { relative, resolve } from 'node:path';
import { type DataSource, dataSourceSchema, fieldError } from '@clipyard/contracts';
import type { Context } from '../context.js';

/** How a run spec names a file: relative to the data directory. A path relative to here that leads there is taken too. */
export function nameInSpec({ config }: Context, url: string): string {
  if (url.startsWith('s3://')) return url;
  const name = relative(config.up.dataDir, resolve(url));
  return name === '' || name.startsWith('..') ? url : name;
}

/** The data source that names on a command line stand for; `told` is how an error speaks of them. Throws `request_invalid`. */
export function dataSourceOf(
  urls: readonly string[],
  told: { readonly path: string; readonly remedy: string },
): DataSource {
  const [first = ''] = urls;
  if (urls.length === 1 && (first === 'shapes' || first === 'synthetic'))
    return dataSourceSchema.parse({ type: first });
  if (urls.every((url) => url.endsWith('.tar'))) return dataSourceSchema.parse({ type: 'webdataset', urls });
  if (urls.every((url) => /\.(csv|tsv)$/.test(url))) {
    return dataSourceSchema.parse({ type: 'csv', urls, separator: first.endsWith('.csv') ? ',' : '\t' });
  }
  throw fieldError('request_invalid', {
    path: told.path,
    message: 'are neither all .tar shards nor all .csv or .tsv tables',
    value: urls.join(' '),
    remedy: told.remedy,
  });
}
