import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fieldError } from '@clipyard/contracts';
import type { SourceInput } from './spec-text.js';

/** Names of columns, the likeliest first. */
const IMAGE_COLUMNS = ['filepath', 'image', 'image_path', 'path', 'file', 'filename', 'file_name', 'picture', 'url'];
const CAPTION_COLUMNS = ['title', 'caption', 'text', 'description', 'name', 'label'];

/** The source of tables like the one at `file`, whose heading tells which columns are which. Throws `data_table_invalid`. */
export async function tableSource(file: string, urls: readonly string[]): Promise<SourceInput> {
  const heading = await firstLine(file);
  const separator = [',', '\t', ';'].reduce((best, next) =>
    heading.split(next).length > heading.split(best).length ? next : best,
  );
  const columns = heading.split(separator).map((name) => name.trim().replace(/^"(.*)"$/, '$1'));
  const find = (names: readonly string[]) => {
    const wanted = names.find((name) => columns.some((column) => column.toLowerCase() === name));
    return columns.find((column) => column.toLowerCase() === wanted);
  };
  const [imageColumn, captionColumn] = [find(IMAGE_COLUMNS), find(CAPTION_COLUMNS)];
  if (imageColumn === undefined || captionColumn === undefined)
    throw fieldError('data_table_invalid', {
      path: 'data',
      message: `its heading (${columns.join(', ')}) does not tell which columns hold pictures and captions`,
      value: file,
      remedy: `Call them ${IMAGE_COLUMNS[0]} and ${CAPTION_COLUMNS[0]}.`,
    });
  return { type: 'csv', urls: [...urls], separator, imageColumn, captionColumn };
}

async function firstLine(file: string): Promise<string> {
  const stream = createReadStream(file, { encoding: 'utf8' });
  try {
    for await (const line of createInterface({ input: stream })) return line.replace(/^\uFEFF/, '');
    return '';
  } finally {
    stream.destroy();
  }
}
