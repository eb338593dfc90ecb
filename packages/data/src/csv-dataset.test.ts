import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dataSourceSchema } from '@clipyard/contracts';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Dataset } from './dataset.js';
import { openDataset } from './open-dataset.js';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'clipyard-csv-'));
  await mkdir(join(dataDir, 'set', 'images'), { recursive: true });
  const image = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#204060' } })
    .png()
    .toBuffer();
  for (const name of ['a.png', 'b.png']) await writeFile(join(dataDir, 'set', 'images', name), image);
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

async function open(content: string, input: object = {}): Promise<Dataset> {
  await writeFile(join(dataDir, 'set', 'table.tsv'), content);
  const source = dataSourceSchema.parse({ type: 'csv', urls: ['set/table.tsv'], ...input });
  return openDataset(source, { dataDir, cacheDir: dataDir, imageSize: 4 });
}

async function captions(dataset: Dataset): Promise<string[]> {
  const all: string[] = [];
  for await (const caption of dataset.captions()) all.push(caption);
  return all;
}

describe('CsvDataset', () => {
  it("reads open_clip's columns with paths relative to the table", async () => {
    const dataset = await open(
      '\ufefftitle\tfilepath\textra\n5" screen, "new"\timages/a.png\tx\n"a\tquoted one"\timages/b.png\n\n',
    );
    expect(await captions(dataset)).toEqual(['5" screen, "new"', 'a\tquoted one']);
    const { pixels, caption } = await dataset.read(1);
    expect(caption).toBe('a\tquoted one');
    expect([...pixels.subarray(0, 3)]).toEqual([0x20, 0x40, 0x60]);
  });

  it('reads other separators and columns, and absolute paths within the data directory', async () => {
    const path = join(dataDir, 'set', 'images', 'a.png');
    const dataset = await open(`img,text\n${path},one\n`, {
      separator: ',',
      imageColumn: 'img',
      captionColumn: 'text',
    });
    expect((await dataset.read(0)).caption).toBe('one');
  });

  it('gives classes by number or by name, whose order is that of `classes` or else of the alphabet', async () => {
    const rows = (labels: string[]) =>
      `filepath\ttitle\tclass\n${labels.map((label) => `images/a.png\tx\t${label}\n`).join('')}`;
    const labels = async (dataset: Dataset) =>
      Promise.all(Array.from({ length: dataset.size }, async (_, i) => (await dataset.read(i, { label: true })).label));
    const numbers = await open(rows(['3', '', '0']), { labelColumn: 'class' });
    expect(numbers.classes).toBeUndefined();
    expect(await labels(numbers)).toEqual([3, undefined, 0]);
    expect((await numbers.read(0)).label).toBeUndefined();
    const names = await open(rows(['dog', 'cat', ' dog ', '']), { labelColumn: 'class' });
    expect(names.classes?.names).toEqual(['cat', 'dog']);
    expect(await labels(names)).toEqual([1, 0, 1, undefined]);
    const listed = await open(rows(['dog', '2', 'emu', '3']), { labelColumn: 'class', classes: ['dog', 'cat', 'hen'] });
    expect([(await listed.read(0, { label: true })).label, (await listed.read(1, { label: true })).label]).toEqual([
      0, 2,
    ]);
    for (const [row, value] of [
      [2, 'emu'],
      [3, '3'],
    ] as const)
      await expect(listed.read(row, { label: true })).rejects.toMatchObject({
        code: 'data_label_invalid',
        fields: [{ path: 'label', value, message: expect.stringContaining(`line ${row + 2}`) }],
      });
  });

  it('counts rows with a missing picture, one out of bounds or an empty caption as bad, with their line', async () => {
    const dataset = await open(
      'filepath\ttitle\nimages/none.png\tx\n../../../etc/passwd\tx\nimages/a.png\t \nimages/a.png\nimages\tx\n',
    );
    const codes = ['image_undecodable', 'image_undecodable', 'caption_empty', 'caption_empty', 'image_undecodable'];
    for (const [i, code] of codes.entries()) {
      await expect(dataset.read(i)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(`line ${i + 2} of set/table.tsv`),
      });
    }
    expect(await captions(dataset)).toEqual(['x', 'x', 'x']);
  });

  it('names field, value and remedy for a missing column, an empty table and a malformed row', async () => {
    await expect(open('filepath,title\na,b\n')).rejects.toMatchObject({
      code: 'data_table_invalid',
      fields: [{ path: 'data.train.imageColumn', value: 'filepath', remedy: expect.stringContaining('separator') }],
    });
    await expect(open('filepath\tname\na\tb\n')).rejects.toMatchObject({
      code: 'data_table_invalid',
      fields: [{ path: 'data.train.captionColumn', value: 'title' }],
    });
    await expect(open('')).rejects.toMatchObject({
      code: 'data_table_invalid',
      fields: [{ path: 'data.train.urls[0]' }],
    });
    await expect(open('filepath\ttitle\n')).rejects.toMatchObject({
      code: 'data_empty',
      fields: [{ path: 'data.train.urls' }],
    });
    await expect(open('filepath\ttitle\na\tb\tc\td\n')).rejects.toMatchObject({
      code: 'data_table_invalid',
      fields: [{ path: 'data.train.urls[0]' }],
    });
    await expect(open('filepath\ttitle\n', { urls: ['none.tsv'] })).rejects.toMatchObject({
      code: 'data_not_found',
      fields: [{ path: 'data.train.urls[0]', value: 'none.tsv' }],
    });
  });
});
