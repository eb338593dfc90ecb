import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Cancellable, type DataSource, fieldError, parseRunSpec } from '@clipyard/contracts';
import { isFile, openDataset } from '@clipyard/data';
import { s3Roots } from '@clipyard/storage';
import type { Context } from '../context.js';
import { readSpecFile } from '../spec-file.js';
import { dataSourceOf, nameInSpec } from './data-source.js';

export interface CaptionSourceOptions extends Cancellable {
  /** At most this many. */
  readonly limit?: number;
}

/**
 * The captions that `--data` names: a text file with one a line, a run spec (its training data), or shards and tables as
 * a run spec names them. Throws `data_not_found` and what a run of them would throw.
 */
export async function* readCaptions(
  context: Context,
  files: readonly string[],
  options: CaptionSourceOptions,
): AsyncGenerator<string> {
  if (files.every((file) => file.endsWith('.txt'))) yield* readLines(files, options);
  else yield* readDataset(context, await sourceOf(context, files), options);
}

async function sourceOf(context: Context, files: readonly string[]): Promise<DataSource> {
  const [first = ''] = files;
  if (files.length === 1 && /\.(ya?ml|json)$/.test(first)) return parseRunSpec(await readSpecFile(first)).data.train;
  return dataSourceOf(
    files.map((file) => nameInSpec(context, file)),
    {
      path: '--data',
      remedy:
        'Name text files with a caption a line, one run spec, shards such as emoji/train-{00000..00008}.tar, or tables.',
    },
  );
}

async function* readDataset(
  context: Context,
  source: DataSource,
  options: CaptionSourceOptions,
): AsyncGenerator<string> {
  const { config } = context;
  const dataset = await openDataset(source, {
    dataDir: config.up.dataDir,
    dataRoots: s3Roots(config.up.dataS3, 'CLIPYARD_DATA_S3'),
    cacheDir: join(config.home, 'cache'),
    // No picture is read.
    imageSize: 1,
    ...options,
  });
  try {
    yield* dataset.captions(options);
  } finally {
    await dataset.close();
  }
}

async function* readLines(files: readonly string[], { limit, signal }: CaptionSourceOptions): AsyncGenerator<string> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  for (const file of files) {
    if (!(await isFile(file))) {
      const remedy = 'Name a text file with one caption a line.';
      throw fieldError('data_not_found', { path: '--data', message: 'there is no such file', value: file, remedy });
    }
    const lines = createInterface({
      input: createReadStream(file, { encoding: 'utf8' }),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
    try {
      for await (const line of lines) {
        signal?.throwIfAborted();
        if (line.trim() === '') continue;
        if (left-- <= 0) return;
        yield line;
      }
    } finally {
      lines.close();
    }
  }
}
