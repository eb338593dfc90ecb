import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Cancellable, fieldError } from '@clipyard/contracts';
import { type PackProgress, type PackResult, type PackSample, packShards } from './pack-shards.js';

/** File of a recipe in its folder; a JavaScript module whose default export is a PackRecipe. */
const RECIPE_FILE = 'recipe.mjs';
const DEFAULT_SHARD_SIZE = 1000;

/** How a data set is made, written by its author. */
export interface PackRecipe {
  readonly name: string;
  /** Samples a shard; default 1000. */
  readonly shardSize?: number;
  /** By the name of the split, which becomes the name of the shards. */
  readonly splits: Readonly<Record<string, (options: Cancellable) => AsyncIterable<PackSample>>>;
}

export interface PackRecipeOptions extends Cancellable {
  readonly outDir: string;
  /** Overrides the recipe's. */
  readonly shardSize?: number;
  onProgress?(progress: PackProgress & { readonly split: string }): void;
}

/** Loads a recipe from its folder (which holds `recipe.mjs`) or its file: runs that module. Throws `data_not_found`, `request_invalid`. */
export async function loadPackRecipe(path: string): Promise<PackRecipe> {
  const file = (await isDirectory(path)) ? join(path, RECIPE_FILE) : path;
  if ((await isDirectory(file)) !== false) {
    throw fieldError('data_not_found', {
      path: 'recipe',
      message: `there is no recipe at ${file}`,
      value: path,
      remedy: `Name a folder with a \`${RECIPE_FILE}\`, such as examples/emoji, or with pictures and their captions beside them as .txt.`,
    });
  }
  const { default: recipe } = (await import(pathToFileURL(resolve(file)).href)) as { default?: unknown };
  if (!isRecipe(recipe)) {
    throw fieldError('request_invalid', {
      path: 'recipe',
      message: `the default export of ${file} is no recipe`,
      value: path,
      remedy: 'Export { name, splits: { train: async function* () { yield { key, image, ext, caption }; } } }.',
    });
  }
  return recipe;
}

/** Packs every split of a recipe into `<outDir>/<split>-00000.tar` and so on; returns what was written, by split. */
export async function packRecipe(recipe: PackRecipe, options: PackRecipeOptions): Promise<Record<string, PackResult>> {
  const { outDir, signal } = options;
  const shardSize = options.shardSize ?? recipe.shardSize ?? DEFAULT_SHARD_SIZE;
  const results: Record<string, PackResult> = {};
  for (const [split, samples] of Object.entries(recipe.splits)) {
    const onProgress = (progress: PackProgress) => options.onProgress?.({ ...progress, split });
    results[split] = await packShards({
      samples: samples({ signal }),
      outDir,
      name: split,
      shardSize,
      signal,
      onProgress,
    });
  }
  return results;
}

/** Undefined where nothing is. */
async function isDirectory(path: string): Promise<boolean | undefined> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function isRecipe(value: unknown): value is PackRecipe {
  if (typeof value !== 'object' || value === null) return false;
  const { name, splits } = value as Partial<PackRecipe>;
  if (typeof name !== 'string' || typeof splits !== 'object' || splits === null) return false;
  const made = Object.values(splits);
  return made.length > 0 && made.every((split) => typeof split === 'function');
}
