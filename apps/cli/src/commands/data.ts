import { join, resolve } from 'node:path';
import { type Dataset, inspectDataset, loadPackRecipe, openDataset, type PackResult, packRecipe } from '@clipyard/data';
import { s3Roots } from '@clipyard/storage';
import type { Context } from '../context.js';
import { dataSourceOf, nameInSpec } from '../data/data-source.js';
import { pictureFolderRecipe } from '../data/picture-folder.js';
import { EXIT } from '../exit-codes.js';
import { formatBytes, formatCount } from '../output/format.js';
import { formatPairs } from '../output/table.js';

export interface PackCommandOptions {
  readonly out: string;
  readonly shardSize?: number;
  readonly json?: boolean;
}

export interface OpenCommandOptions {
  /** Side that pictures are decoded to, pixels. */
  readonly imageSize?: number;
  readonly limit?: number;
  readonly json?: boolean;
}

/** Packs a recipe, or a folder of pictures with captions beside them, into WebDataset shards. */
export async function packData(context: Context, source: string, options: PackCommandOptions): Promise<number> {
  const { terminal, signal } = context;
  const recipe = (await pictureFolderRecipe(source)) ?? (await loadPackRecipe(source));
  const outDir = resolve(options.out);
  let results: Record<string, PackResult>;
  try {
    results = await packRecipe(recipe, {
      outDir,
      signal,
      ...(options.shardSize === undefined ? {} : { shardSize: options.shardSize }),
      onProgress: ({ split, samples, shards }) =>
        terminal.status(`${split}: ${formatCount(samples)} samples, ${shards} shards`),
    });
  } finally {
    terminal.status(undefined);
  }
  if (options.json === true) {
    terminal.out(JSON.stringify(results));
    return EXIT.ok;
  }
  for (const [split, { samples, bytes, pattern }] of Object.entries(results)) {
    terminal.out(
      `${split}: ${formatCount(samples)} samples, ${formatBytes(bytes)}; in a run spec: ${nameInSpec(context, join(outDir, pattern))}`,
    );
  }
  return EXIT.ok;
}

/** Builds the indices of shards, as the first run on them would, and counts their samples. */
export async function indexData(
  context: Context,
  urls: readonly string[],
  options: OpenCommandOptions,
): Promise<number> {
  const { terminal } = context;
  const dataset = await open(context, urls, options);
  try {
    const shards = dataset.shardSizes?.length ?? urls.length;
    terminal.out(
      options.json === true
        ? JSON.stringify({ samples: dataset.size, shards })
        : `${formatCount(dataset.size)} samples in ${formatCount(shards)} ${shards === 1 ? 'file' : 'files'}`,
    );
  } finally {
    await dataset.close();
  }
  return EXIT.ok;
}

/** Reads samples all over a data set and tells what it holds; exit code 1 when some are unusable. */
export async function inspectData(
  context: Context,
  urls: readonly string[],
  options: OpenCommandOptions,
): Promise<number> {
  const { terminal, signal } = context;
  const dataset = await open(context, urls, options);
  try {
    const summary = await inspectDataset(dataset, {
      signal,
      ...(options.limit === undefined ? {} : { limit: options.limit }),
    });
    if (options.json === true) terminal.out(JSON.stringify(summary));
    else {
      const { samples, shards, classes, read, bad, problems, captions } = summary;
      const pairs: [string, string][] = [['samples', formatCount(samples)]];
      if (shards !== undefined) pairs.push(['shards', formatCount(shards)]);
      if (classes !== undefined) pairs.push(['classes', formatCount(classes)]);
      pairs.push(['read', `${formatCount(read)}, of which unusable: ${formatCount(bad)}`]);
      pairs.push([
        'captions',
        `${formatCount(captions.distinct)} distinct, ${formatCount(captions.words)} different words, ${captions.meanWords.toFixed(1)} words on average, at most ${captions.maxWords}`,
      ]);
      for (const example of captions.examples.slice(0, 3)) pairs.push(['for example', example]);
      for (const problem of problems) pairs.push(['problem', problem]);
      for (const line of formatPairs(pairs)) terminal.out(line);
    }
    return summary.bad === 0 ? EXIT.ok : EXIT.failed;
  } finally {
    await dataset.close();
  }
}

async function open(context: Context, urls: readonly string[], options: OpenCommandOptions): Promise<Dataset> {
  const { config, signal } = context;
  const dataDir = config.up.dataDir;
  const source = dataSourceOf(
    urls.map((url) => nameInSpec(context, url)),
    { path: 'files', remedy: 'Name shards such as emoji/train-{00000..00008}.tar, tables, or `shapes`.' },
  );
  return await openDataset(source, {
    dataDir,
    dataRoots: s3Roots(config.up.dataS3, 'CLIPYARD_DATA_S3'),
    cacheDir: join(config.home, 'cache'),
    imageSize: options.imageSize ?? 64,
    signal,
  });
}
