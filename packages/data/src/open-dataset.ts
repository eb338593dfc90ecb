import { type BlobStore, type Cancellable, type DataSource, fieldError, type LogLevel } from '@clipyard/contracts';
import { expandBraces } from './brace-expansion.js';
import { CsvDataset } from './csv-dataset.js';
import { type DataFile, DataFiles, type DataRoot } from './data-files.js';
import { missingFile } from './data-path.js';
import type { Augmentation, Dataset } from './dataset.js';
import { ShapesDataset } from './shapes/shapes-dataset.js';
import { SyntheticDataset } from './synthetic-dataset.js';
import { WebDataset } from './webdataset/webdataset.js';

/** Files that are looked for at once. */
const STAT_CONCURRENCY = 16;

export interface OpenDatasetOptions extends Cancellable {
  /** Relative URLs are below it. */
  readonly dataDir: string;
  /** Where data lies beside it. */
  readonly dataRoots?: readonly DataRoot[];
  /** Holds indices of shards. */
  readonly cacheDir: string;
  /** Where hosts share the indices of shards that lie in a data root. */
  readonly indexStore?: BlobStore;
  /** Share of the shards after which this process begins to index, 0 to 1; default 0. */
  readonly indexFrom?: number;
  /** Side of the pictures, pixels. */
  readonly imageSize: number;
  /** Default none. */
  readonly augment?: Augmentation;
  /** Seed of the run, which keys the augmentation; default 0. */
  readonly seed?: number;
  /** Where the source stands in the run spec, for errors; default `data.train`. */
  readonly field?: string;
  readonly log?: (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/**
 * Opens the data set of a run spec; shards are indexed once and the indices kept. Throws `data_not_found`,
 * `data_tar_truncated`, `data_table_invalid`, `data_empty` or `spec_invalid`, each naming the field of the spec.
 */
export async function openDataset(source: DataSource, options: OpenDatasetOptions): Promise<Dataset> {
  const files = new DataFiles({ dataDir: options.dataDir, ...(options.dataRoots && { roots: options.dataRoots }) });
  try {
    return await open(source, files, options);
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function open(source: DataSource, files: DataFiles, options: OpenDatasetOptions): Promise<Dataset> {
  const { imageSize, augment = 'none', seed: augmentSeed = 0, field = 'data.train', signal } = options;
  const common = { imageSize, augment, augmentSeed };
  switch (source.type) {
    case 'shapes':
      return new ShapesDataset({ ...common, samples: source.samples, seed: source.seed, split: source.split });
    case 'synthetic':
      return new SyntheticDataset({ imageSize, samples: source.samples, seed: source.seed });
    case 'webdataset': {
      const started = performance.now();
      const shards = await findFiles(files, source.urls, field, options);
      const { imageKeys, captionKeys, captionField, labelKeys, classes } = source;
      const { cacheDir, indexStore, indexFrom } = options;
      const indices = { cacheDir, ...(indexFrom && { indexFrom }), ...(indexStore && { indexStore }) };
      const dataset = await WebDataset.open(
        { ...common, ...indices, files, shards, imageKeys, captionKeys, captionField, labelKeys, classes },
        { signal },
      );
      const ms = Math.round(performance.now() - started);
      options.log?.('info', `Indexed ${dataset.size} samples in ${shards.length} shards`, { field, ms });
      return notEmpty(
        dataset,
        field,
        source.urls,
        `Pack shards with members such as \`0001.${imageKeys[0]}\` and \`0001.${captionKeys[0]}\`.`,
      );
    }
    case 'csv': {
      const tables = await findFiles(files, source.urls, field, options);
      const { separator, imageColumn, captionColumn, labelColumn, classes } = source;
      const dataset = await CsvDataset.open(
        { ...common, files, tables, separator, imageColumn, captionColumn, labelColumn, classes, field },
        { signal },
      );
      options.log?.('info', `Read ${dataset.size} rows of ${tables.length} tables`, { field });
      return notEmpty(dataset, field, source.urls, 'Add rows below the header.');
    }
  }
}

/** The files of a list of URLs, braces expanded, each with the field of the spec that names it; all of them exist. */
async function findFiles(
  files: DataFiles,
  urls: readonly string[],
  field: string,
  { dataDir, signal }: OpenDatasetOptions,
): Promise<DataFile[]> {
  const named = urls.flatMap((pattern, i) => {
    const urlField = `${field}.urls[${i}]`;
    return expandBraces(pattern, urlField).map((url) => ({ url, field: urlField }));
  });
  const found = new Array<DataFile>(named.length);
  const pending = named.entries();
  let firstMissing = named.length;
  const look = async () => {
    for (const [i, { url, field: urlField }] of pending) {
      signal?.throwIfAborted();
      if (i > firstMissing) return;
      const place = files.placeOf(url, urlField);
      await files.checkLinks(place, url, urlField);
      const stat = await files.stat(place, { signal });
      if (stat === undefined) firstMissing = Math.min(firstMissing, i);
      else found[i] = { url, field: urlField, place, bytes: stat.bytes, version: stat.version };
    }
  };
  await Promise.all(Array.from({ length: STAT_CONCURRENCY }, look));
  const missing = named[firstMissing];
  if (missing !== undefined) {
    const place = files.placeOf(missing.url, missing.field);
    throw missingFile(missing.field, missing.url, place.kind === 'file' ? dataDir : place.root.url);
  }
  return found;
}

function notEmpty<T extends Dataset>(dataset: T, field: string, urls: readonly string[], remedy: string): T {
  if (dataset.size > 0) return dataset;
  throw fieldError('data_empty', {
    path: `${field}.urls`,
    message: 'names files without a single sample',
    value: urls,
    remedy,
  });
}
