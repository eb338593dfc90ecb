import { type Cancellable, type DataSource, fieldError, type LogLevel } from '@clipyard/contracts';
import { expandBraces } from './brace-expansion.js';
import { CsvDataset } from './csv-dataset.js';
import { missingFile, resolveDataPath } from './data-path.js';
import type { Augmentation, Dataset } from './dataset.js';
import { isFile } from './is-file.js';
import { ShapesDataset } from './shapes/shapes-dataset.js';
import { SyntheticDataset } from './synthetic-dataset.js';
import { WebDataset } from './webdataset/webdataset.js';

export interface OpenDatasetOptions extends Cancellable {
  /** Relative URLs are below it. */
  readonly dataDir: string;
  /** Holds indices of shards. */
  readonly cacheDir: string;
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
  const { imageSize, augment = 'none', seed: augmentSeed = 0, field = 'data.train', signal } = options;
  const common = { imageSize, augment, augmentSeed };
  switch (source.type) {
    case 'shapes':
      return new ShapesDataset({ ...common, samples: source.samples, seed: source.seed, split: source.split });
    case 'synthetic':
      return new SyntheticDataset({ imageSize, samples: source.samples, seed: source.seed });
    case 'webdataset': {
      const started = performance.now();
      const shards = await findFiles(source.urls, field, options);
      const { imageKeys, captionKeys, captionField, labelKeys, classes } = source;
      const { cacheDir } = options;
      const dataset = await WebDataset.open(
        { ...common, shards, imageKeys, captionKeys, captionField, labelKeys, classes, cacheDir },
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
      const tables = await findFiles(source.urls, field, options);
      const { separator, imageColumn, captionColumn, labelColumn, classes } = source;
      const { dataDir } = options;
      const dataset = await CsvDataset.open(
        { ...common, tables, separator, imageColumn, captionColumn, labelColumn, classes, field, dataDir },
        { signal },
      );
      options.log?.('info', `Read ${dataset.size} rows of ${tables.length} tables`, { field });
      return notEmpty(dataset, field, source.urls, 'Add rows below the header.');
    }
  }
}

/** The files of a list of URLs, braces expanded, each with the field of the spec that names it; all of them exist. */
async function findFiles(urls: readonly string[], field: string, { dataDir, signal }: OpenDatasetOptions) {
  const files: { url: string; path: string; field: string }[] = [];
  for (const [i, pattern] of urls.entries()) {
    const urlField = `${field}.urls[${i}]`;
    for (const url of expandBraces(pattern, urlField)) {
      signal?.throwIfAborted();
      const path = resolveDataPath(dataDir, url, urlField);
      if (!(await isFile(path))) throw missingFile(urlField, url, dataDir);
      files.push({ url, path, field: urlField });
    }
  }
  return files;
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
