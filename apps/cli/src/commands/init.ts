import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { dataSourceSchema, fieldError, parseRunSpec } from '@clipyard/contracts';
import { type DatasetSummary, inspectDataset, loadPackRecipe, openDataset, packRecipe } from '@clipyard/data';
import { s3Roots } from '@clipyard/storage';
import { parse } from 'yaml';
import type { Context } from '../context.js';
import { nameInSpec } from '../data/data-source.js';
import { pictureFolderRecipe } from '../data/picture-folder.js';
import { EXIT } from '../exit-codes.js';
import { numberedPatterns } from '../init/numbered-patterns.js';
import { type SourceInput, specText } from '../init/spec-text.js';
import { tableSource } from '../init/table-source.js';
import { formatCount } from '../output/format.js';

/** Samples that are read to see whether a data set can be used. */
const INSPECTED_SAMPLES = 200;
/** Names of files with samples that are held out. */
const HELD_OUT = /(^|[^a-z])(eval|val|valid|validation|test|held-?out)([^a-z]|$)/i;

export interface InitOptions {
  readonly out: string;
  readonly name?: string;
  readonly json?: boolean;
}

interface Found {
  readonly train: SourceInput;
  readonly eval: SourceInput | undefined;
}

/** Looks at data and writes a run spec for it that can be submitted as it is. Overwrites nothing. */
export async function init(context: Context, source: string, options: InitOptions): Promise<number> {
  const { terminal } = context;
  const name = options.name ?? nameFrom(source);
  const data = source === 'shapes' ? shapes() : await findData(context, source, name);
  const summary = await inspect(context, data.train);
  const text = specText({ name, ...data, summary });
  parseRunSpec(parse(text));
  await writeNew(options.out, text);
  if (options.json === true) terminal.out(JSON.stringify({ file: resolve(options.out), samples: summary.samples }));
  else {
    const { samples, read, bad } = summary;
    terminal.out(`${formatCount(samples)} samples; of ${formatCount(read)} that were read, ${bad} cannot be used`);
    terminal.out(`wrote ${options.out}; read it, then: clipyard submit ${options.out} --watch`);
  }
  return EXIT.ok;
}

const nameFrom = (source: string): string =>
  basename(resolve(source))
    .replace(/\.[^.]+$/, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '') || 'run';

const shapes = (): Found => ({
  train: { type: 'shapes' },
  eval: { type: 'shapes', seed: 1, split: 'all' },
});

async function findData(context: Context, source: string, name: string): Promise<Found> {
  const path = resolve(source);
  const files = await filesAt(path, source);
  const shards = files.filter((file) => file.endsWith('.tar'));
  if (shards.length > 0) return split(shards, (urls) => shardSource(context, urls));
  const tables = files.filter((file) => /\.(csv|tsv)$/.test(file));
  if (tables.length > 0) {
    const [first] = tables;
    return split(tables, async (urls) => tableSource(first!, await namesOf(context, urls)));
  }
  return await packed(context, path, source, name);
}

async function filesAt(path: string, source: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    return (await readdir(path)).sort().map((file) => join(path, file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const remedy = 'Give a folder of pictures with captions, a table, shards, or `shapes`.';
    throw fieldError('data_not_found', { path: 'data', message: 'there is no such file', value: source, remedy });
  }
}

/** Training data and what is held out of it, told apart by their names. */
async function split(files: readonly string[], make: (urls: string[]) => Promise<SourceInput>): Promise<Found> {
  const held = files.filter((file) => HELD_OUT.test(basename(file)));
  const train = files.filter((file) => !held.includes(file));
  if (train.length === 0) return { train: await make([...files]), eval: undefined };
  return { train: await make(train), eval: held.length === 0 ? undefined : await make(held) };
}

async function shardSource(context: Context, files: readonly string[]): Promise<SourceInput> {
  return { type: 'webdataset', urls: numberedPatterns(await namesOf(context, files)) };
}

/** As a run spec names them. Throws `request_invalid` for files that workers would refuse. */
async function namesOf(context: Context, files: readonly string[]): Promise<string[]> {
  const { dataDir } = context.config.up;
  return files.map((file) => {
    const name = nameInSpec(context, file);
    if (name !== file) return name;
    throw fieldError('request_invalid', {
      path: 'data',
      message: `is not below the data directory ${dataDir}, which run specs name files in`,
      value: file,
      remedy: `Move it there, or set CLIPYARD_DATA_DIR=${dirname(file)} here and for the workers.`,
    });
  });
}

/** A folder of pictures becomes shards in the data directory. */
async function packed(context: Context, path: string, source: string, name: string): Promise<Found> {
  const { config, terminal, signal } = context;
  const recipe = (await pictureFolderRecipe(path)) ?? (await loadPackRecipe(source));
  const outDir = join(config.up.dataDir, name);
  await mkdir(config.up.dataDir, { recursive: true });
  if ((await readdir(outDir).catch(() => [])).length > 0)
    throw fieldError('request_invalid', {
      path: 'data',
      message: `would be packed into ${outDir}, which holds files already`,
      value: source,
      remedy: `Name what is there, \`clipyard init ${relative(process.cwd(), outDir)}\`, or choose another --name.`,
    });
  try {
    const results = await packRecipe(recipe, {
      outDir,
      signal,
      onProgress: ({ split: part, samples }) => terminal.status(`packing ${part}: ${formatCount(samples)} samples`),
    });
    const patterns = Object.values(results).map(({ pattern }) => join(outDir, pattern));
    return await split(patterns, async (urls) => {
      const names = await namesOf(context, urls);
      return { type: 'webdataset', urls: names };
    });
  } finally {
    terminal.status(undefined);
  }
}

async function inspect({ config, signal }: Context, source: SourceInput): Promise<DatasetSummary> {
  const dataset = await openDataset(dataSourceSchema.parse(source), {
    dataDir: config.up.dataDir,
    dataRoots: s3Roots(config.up.dataS3, 'CLIPYARD_DATA_S3'),
    cacheDir: join(config.home, 'cache'),
    imageSize: 32,
    signal,
  });
  try {
    const summary = await inspectDataset(dataset, { signal, limit: INSPECTED_SAMPLES });
    if (summary.bad < summary.read) return summary;
    throw fieldError('data_not_found', {
      path: 'data',
      message: `none of the ${summary.read} samples that were read can be used`,
      remedy: 'Look at them with `clipyard data inspect`.',
    });
  } finally {
    await dataset.close();
  }
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const remedy = 'Name another file by --out, or move that one away.';
    throw fieldError('request_invalid', { path: '--out', message: 'is there already', value: path, remedy });
  }
}
