import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dataSourceSchema } from '@clipyard/contracts';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { realDataPath, resolveDataPath } from './data-path.js';
import { openDataset } from './open-dataset.js';

let root: string;
let data: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'clipyard-paths-'));
  data = join(root, 'data');
  await mkdir(join(data, 'set'), { recursive: true });
  await mkdir(join(root, 'mounted'));
  const picture = await sharp({ create: { width: 4, height: 4, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  for (const path of ['secret.png', 'mounted/a.png', 'data/a.png', 'data/set/a.png'])
    await writeFile(join(root, path), picture);
  for (const path of ['secret.tar', 'mounted/a.tar']) await writeFile(join(root, path), 'x');
  await symlink(join(root, 'mounted'), join(data, 'mounted'));
  await symlink(join(root, 'secret.tar'), join(data, 'set', 'out.tar'));
  await symlink(root, join(data, 'set', 'up'));
  await symlink('../a.png', join(data, 'set', 'within.png'));
  await symlink(join(root, 'secret.png'), join(data, 'set', 'out.png'));
  await symlink(root, join(root, 'mounted', 'up'));
});
afterAll(() => rm(root, { recursive: true }));

describe('names in a run spec', () => {
  it.each([
    '../secret.tar',
    'set/../../secret.tar',
    '/etc/passwd',
    'http://example.org/a.tar',
    'file:///etc/passwd',
    'gs://bucket/a.tar',
    'a\0.tar',
    '..',
  ])('%j does not leave the data directory', (url) => {
    expect(() => resolveDataPath(data, url, 'data.train.urls[0]')).toThrow(
      expect.objectContaining({ code: 'spec_invalid', fields: [expect.objectContaining({ value: url })] }),
    );
  });

  it.each(['a.png', 'set/../a.png', '..a.tar', 'set/within.png', 'mounted/a.tar', 'not-there.tar', 'a.png/x'])(
    '%j stays in it, or is a directory that was linked into it',
    async (url) => {
      expect(await realDataPath(data, url, 'f')).toBe(join(data, url));
    },
  );

  it.each(['set/out.tar', 'set/up/secret.tar', 'mounted/up/secret.tar'])('%j leads out by a link', async (url) => {
    await expect(realDataPath(data, url, 'f')).rejects.toMatchObject({
      code: 'spec_invalid',
      fields: [{ message: expect.stringContaining('leads out') }],
    });
  });
});

describe('data sets', () => {
  const open = (source: object) =>
    openDataset(dataSourceSchema.parse(source), { dataDir: data, cacheDir: join(root, 'cache'), imageSize: 4 });

  it('are not read through a link that leads out', async () => {
    await expect(open({ type: 'webdataset', urls: ['set/out.tar'] })).rejects.toMatchObject({
      code: 'spec_invalid',
      fields: [{ message: expect.stringContaining('leads out') }],
    });
  });

  it('take no picture of a table from elsewhere', async () => {
    const rows = ['a.png', 'within.png', 'out.png', 'up/secret.png', '../../secret.png', '/etc/passwd'];
    await writeFile(join(data, 'set', 't.csv'), `filepath,title\n${rows.map((row) => `${row},words`).join('\n')}\n`);
    const dataset = await open({ type: 'csv', separator: ',', urls: ['set/t.csv'] });
    const outcomes = await Promise.all(
      rows.map((_, i) =>
        dataset.read(i).then(
          () => 'read',
          (error: { code: string }) => error.code,
        ),
      ),
    );
    expect(outcomes).toEqual(['read', 'read', ...new Array(4).fill('image_undecodable')]);
    await dataset.close();
  });
});
