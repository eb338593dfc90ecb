import { readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Cancellable } from '@clipyard/contracts';
import type { PackRecipe, PackSample } from '@clipyard/data';

const PICTURE = /\.(png|jpe?g|webp|gif|avif|tiff?)$/i;
/** A folder with one of these is a recipe. */
const RECIPE_FILE = 'recipe.mjs';

/**
 * A recipe for a folder of pictures, each with its caption in a `.txt` file of the same name, searched with all folders
 * below it; undefined where the path is no such folder. A picture without a caption is left out.
 */
export async function pictureFolderRecipe(path: string): Promise<PackRecipe | undefined> {
  let files: string[];
  try {
    files = await readdir(path, { recursive: true });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  if (files.includes(RECIPE_FILE) || !files.some((file) => PICTURE.test(file))) return undefined;
  const captions = new Set(files.filter((file) => file.endsWith('.txt')));
  const pictures = files.filter((file) => PICTURE.test(file) && captions.has(captionFile(file))).sort();
  return { name: basename(resolve(path)), splits: { train: ({ signal }) => samples(path, pictures, { signal }) } };
}

const captionFile = (picture: string): string => picture.replace(PICTURE, '.txt');

async function* samples(
  folder: string,
  pictures: readonly string[],
  { signal }: Cancellable,
): AsyncGenerator<PackSample> {
  for (const file of pictures) {
    const image = await readFile(join(folder, file), { signal });
    const caption = (await readFile(join(folder, captionFile(file)), { encoding: 'utf8', signal })).trim();
    // A dot in a name would begin the extension.
    const key = file
      .replace(PICTURE, '')
      .split(/[\\/]/)
      .map((part) => part.replaceAll('.', '_'))
      .join('/');
    yield { key, image, ext: PICTURE.exec(file)![1]!.toLowerCase(), caption };
  }
}
