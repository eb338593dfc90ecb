import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DataSource, dataSourceSchema } from '@clipyard/contracts';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Dataset } from '../dataset.js';
import { openDataset } from '../open-dataset.js';

let root: string;
let dataDir: string;
let cacheDir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'clipyard-wds-'));
  dataDir = join(root, 'data');
  cacheDir = join(root, 'cache');
  await mkdir(dataDir);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const source = (input: object): DataSource => dataSourceSchema.parse({ type: 'webdataset', ...input });
const open = (input: object): Promise<Dataset> => openDataset(source(input), { dataDir, cacheDir, imageSize: 8 });

async function writeTar(name: string, members: readonly (readonly [string, Uint8Array | string])[]): Promise<void> {
  const tar = pack();
  for (const [member, body] of members) tar.entry({ name: member }, Buffer.from(body));
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  await writeFile(join(dataDir, name), Buffer.concat(chunks));
}

const plain = (r: number, g: number, b: number) =>
  sharp({ create: { width: 12, height: 9, channels: 3, background: { r, g, b } } });

describe('WebDataset', () => {
  it('reads pictures of every format and captions of both kinds at random', async () => {
    const formats = ['png', 'jpeg', 'webp', 'gif', 'avif', 'tiff'] as const;
    const members: [string, Uint8Array | string][] = [];
    for (const [i, format] of formats.entries()) {
      members.push([`${i}.${format}`, await plain(200, 100, 50).toFormat(format).toBuffer()]);
      members.push(
        i % 2 === 0 ? [`${i}.txt`, ` caption  of ${i}\n`] : [`${i}.json`, JSON.stringify({ text: `json of ${i}` })],
      );
    }
    await writeTar('0.tar', members);
    const dataset = await open({ urls: ['0.tar'], captionField: 'text' });
    expect(dataset.size).toBe(6);
    for (const i of [5, 0, 3, 1, 4, 2]) {
      const { pixels, caption } = await dataset.read(i);
      expect(caption).toBe(i % 2 === 0 ? ` caption  of ${i}` : `json of ${i}`);
      expect(pixels.length).toBe(8 * 8 * 3);
      for (let j = 0; j < pixels.length; j++)
        expect(Math.abs(pixels[j]! - [200, 100, 50][j % 3]!), formats[i]).toBeLessThan(9);
    }
    await dataset.close();
  });

  it('gives the class of a sample from its .cls when asked, a number or a name of `classes`', async () => {
    const image = await plain(1, 2, 3).png().toBuffer();
    const members = ['0', 'b\n', '7', 'emu'].flatMap((label, i): [string, Uint8Array | string][] => [
      [`${i}.png`, image],
      [`${i}.txt`, 'x'],
      [`${i}.cls`, label],
    ]);
    await writeTar('0.tar', [...members, ['4.png', image], ['4.txt', 'x'], ['5.cls', '1']]);
    const named = await open({ urls: ['0.tar'], classes: ['a', 'b'] });
    expect(named.size).toBe(5);
    expect(named.classes?.names).toEqual(['a', 'b']);
    const label = async (dataset: Dataset, i: number) => (await dataset.read(i, { label: true })).label;
    expect([await label(named, 0), await label(named, 1), await label(named, 4)]).toEqual([0, 1, undefined]);
    expect((await named.read(2)).label).toBeUndefined();
    for (const i of [2, 3]) await expect(label(named, i)).rejects.toMatchObject({ code: 'data_label_invalid' });
    const numbered = await open({ urls: ['0.tar'] });
    expect(await label(numbered, 2)).toBe(7);
    await expect(label(numbered, 3)).rejects.toMatchObject({ code: 'data_label_invalid', fields: [{ value: 'emu' }] });
    await named.close();
    await numbered.close();
  });

  it('groups members by name in any order, over shards in the order of their URLs', async () => {
    const image = await plain(1, 2, 3).png().toBuffer();
    await writeTar('s-0.tar', [
      ['x/a.txt', 'a'],
      ['x/b.PNG', image],
      ['__meta__.json', '{}'],
      ['x/a.png', image],
      ['x/b.txt', 'b'],
      ['readme', 'no'],
    ]);
    await writeTar('s-1.tar', [
      ['a.png', image],
      ['a.seg.png', image],
      ['a.txt', 'again'],
    ]);
    const dataset = await open({ urls: ['s-{1..1}.tar', 's-0.tar'] });
    expect(dataset.shardSizes).toEqual([1, 2]);
    const captions: string[] = [];
    for await (const caption of dataset.captions()) captions.push(caption);
    expect(captions).toEqual(['again', 'a', 'b']);
    for (let i = 0; i < 3; i++) expect((await dataset.read(i)).caption).toBe(captions[i]);
    await dataset.close();
  });

  it('keeps samples with a part missing or broken as bad ones, each with the sample and shard named', async () => {
    const image = await plain(1, 2, 3).png().toBuffer();
    await writeTar('0.tar', [
      ['good.png', image],
      ['good.txt', 'fine'],
      ['nopicture.txt', 'alone'],
      ['nocaption.png', image],
      ['blank.png', image],
      ['blank.txt', ' \n'],
      ['broken.png', 'no picture'],
      ['broken.txt', 'x'],
      ['cut.png', image.subarray(0, 60)],
      ['cut.txt', 'x'],
      ['badjson.png', image],
      ['badjson.json', '{'],
      ['nofield.png', image],
      ['nofield.json', '{"caption": 3}'],
    ]);
    const dataset = await open({ urls: ['0.tar'] });
    expect(dataset.size).toBe(8);
    const codes: string[] = [];
    for (let i = 1; i < 8; i++) {
      const error = await dataset.read(i).then(
        () => undefined,
        (e: unknown) => e as { code: string; message: string },
      );
      codes.push(error!.code);
      expect(error!.message).toContain('of 0.tar');
      expect(error!.message).toMatch(/`(nopicture|nocaption|blank|broken|cut|badjson|nofield)`/);
    }
    expect(codes).toEqual([
      'image_undecodable',
      'caption_empty',
      'caption_empty',
      'image_undecodable',
      'image_undecodable',
      'caption_empty',
      'caption_empty',
    ]);
    const captions: string[] = [];
    for await (const caption of dataset.captions()) captions.push(caption);
    expect(captions).toEqual(['fine', 'alone', 'x', 'x']);
    await dataset.close();
  });

  it('indexes a shard once, again when it changes, and again when the cached index is damaged', async () => {
    const image = await plain(1, 2, 3).png().toBuffer();
    await writeTar('0.tar', [
      ['a.png', image],
      ['a.txt', 'one'],
    ]);
    await Promise.all(
      [open({ urls: ['0.tar'] }), open({ urls: ['0.tar'] })].map(async (dataset) => (await dataset).close()),
    );
    const indices = join(cacheDir, 'tar-index');
    const [cached, ...others] = await readdir(indices);
    expect(others).toEqual([]);
    const written = (await stat(join(indices, cached!))).mtimeMs;
    await (await open({ urls: ['0.tar'] })).close();
    expect((await stat(join(indices, cached!))).mtimeMs).toBe(written);

    await writeFile(join(indices, cached!), '{"format": 1, "na');
    const mended = await open({ urls: ['0.tar'] });
    expect((await mended.read(0)).caption).toBe('one');
    await mended.close();

    await writeTar('0.tar', [
      ['a.png', image],
      ['a.txt', 'two'],
    ]);
    await utimes(join(dataDir, '0.tar'), 1, 1);
    const changed = await open({ urls: ['0.tar'] });
    expect((await changed.read(0)).caption).toBe('two');
    await changed.close();
  });

  it('names the URL of the spec for a shard that is missing, outside the data directory, truncated or empty', async () => {
    await writeTar('0.tar', [['a.txt', 'x']]);
    await writeTar('none.tar', [['readme', 'x']]);
    await writeFile(join(dataDir, 'cut.tar'), 'x'.repeat(100));
    const cases = [
      [['0.tar', '{0..1}.tar'], 'data_not_found', 'data.train.urls[1]', '1.tar'],
      [['../0.tar'], 'spec_invalid', 'data.train.urls[0]', '../0.tar'],
      [['/etc/passwd'], 'spec_invalid', 'data.train.urls[0]', '/etc/passwd'],
      [['s3://bucket/0.tar'], 'spec_invalid', 'data.train.urls[0]', 's3://bucket/0.tar'],
      [['0.tar', 'cut.tar'], 'data_tar_truncated', 'data.train.urls[1]', join(dataDir, 'cut.tar')],
      [['none.tar'], 'data_empty', 'data.train.urls', ['none.tar']],
    ] as const;
    for (const [urls, code, path, value] of cases) {
      await expect(open({ urls }), urls.join()).rejects.toMatchObject({
        code,
        fields: [{ path, value, remedy: expect.any(String) }],
      });
    }
  });

  it('says data_tar_truncated when a shard became shorter after it was indexed', async () => {
    await writeTar('0.tar', [
      ['a.png', await plain(1, 2, 3).png().toBuffer()],
      ['a.txt', 'one'],
    ]);
    const dataset = await open({ urls: ['0.tar'] });
    await writeFile(join(dataDir, '0.tar'), 'x');
    await expect(dataset.read(0)).rejects.toMatchObject({
      code: 'data_tar_truncated',
      fields: [{ path: 'data.train.urls[0]' }],
    });
    await dataset.close();
  });
});
