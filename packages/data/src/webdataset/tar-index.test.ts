import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Pack, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataFiles } from '../data-files.js';
import { type IndexTarOptions, indexTar as indexSource, type TarMember } from './tar-index.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'clipyard-tar-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A small window, so that headers lie across its ends. */
async function indexTar(path: string, options: IndexTarOptions = {}): Promise<TarMember[]> {
  const files = new DataFiles({ dataDir: root });
  const place = { kind: 'file', path } as const;
  try {
    const { bytes } = (await files.stat(place))!;
    const read = (offset: number, length: number) => files.read(place, offset, length);
    return await indexSource({ name: path, bytes, windowBytes: 100_000, read }, options);
  } finally {
    await files.close();
  }
}

async function contents(path: string): Promise<Record<string, string>> {
  const tar = await readFile(path);
  const members = await indexTar(path);
  return Object.fromEntries(
    members.map(({ name, offset, bytes }) => [name, tar.subarray(offset, offset + bytes).toString()]),
  );
}

const LONG = `${'deep/'.repeat(20)}${'name-'.repeat(30)}end`;
const FILES: Record<string, string> = {
  'a.txt': 'one',
  'empty.txt': '',
  'block.txt': 'x'.repeat(512),
  'dir/b.txt': 'two',
  'ünïcode.txt': 'drei',
  [`${LONG}.txt`]: 'long name',
  'large.bin': 'y'.repeat(600_000),
};

describe('indexTar', () => {
  it.each(['gnu', 'pax', 'ustar'])('finds the files of a %s archive made by tar', async (format) => {
    const files = Object.entries(FILES).filter(([name]) => format !== 'ustar' || name.length < 100);
    for (const [name, content] of files) {
      await mkdir(dirname(join(root, 'in', name)), { recursive: true });
      await writeFile(join(root, 'in', name), content);
    }
    const path = join(root, 'x.tar');
    execFileSync('tar', [`--format=${format}`, '-cf', path, '-C', join(root, 'in'), '.']);
    expect(await contents(path)).toEqual(Object.fromEntries(files));
  });

  it('finds the files of an archive made by tar-stream, in their order', async () => {
    const path = join(root, 'x.tar');
    await writeFile(path, await tarOf(FILES));
    expect(Object.keys(await contents(path))).toEqual(Object.keys(FILES));
  });

  it('passes over links and directories, and gives names that climb no meaning', async () => {
    const tar = pack();
    tar.entry({ name: 'dir', type: 'directory' });
    tar.entry({ name: 'link', type: 'symlink', linkname: '/etc/passwd' });
    tar.entry({ name: '/etc/absolute.txt' }, 'a');
    tar.entry({ name: '../up.txt' }, 'b');
    tar.finalize();
    await writeFile(join(root, 'x.tar'), await collect(tar));
    expect(await contents(join(root, 'x.tar'))).toEqual({ 'etc/absolute.txt': 'a', '../up.txt': 'b' });
  });

  it('says data_tar_truncated with shard, field and offset wherever an archive is cut', async () => {
    const whole = await tarOf({ 'a.txt': 'one', 'b.txt': 'x'.repeat(2000) });
    const path = join(root, 'cut.tar');
    // Within the second file, between blocks, within a header, right after the last file, and at nothing.
    for (const length of [1700, 1024, 1100, 1536 + 2048, 300, 0]) {
      await writeFile(path, whole.subarray(0, length));
      const failure = indexTar(path, { field: 'data.train.urls[2]' });
      await expect(failure, `cut at ${length}`).rejects.toMatchObject({
        code: 'data_tar_truncated',
        message: expect.stringMatching(/at byte \d+/),
        fields: [{ path: 'data.train.urls[2]', value: path, remedy: expect.any(String) }],
      });
    }
    await writeFile(path, whole.subarray(0, 2048));
    await expect(indexTar(path)).rejects.toThrow('ends within `b.txt`, 1488 bytes early, at byte 1024');
    await writeFile(path, whole);
    expect((await indexTar(path)).length).toBe(2);
  });

  it('says so for a file that is no tar', async () => {
    const path = join(root, 'x.tar');
    await writeFile(path, 'hello '.repeat(1000));
    await expect(indexTar(path)).rejects.toMatchObject({
      code: 'data_tar_truncated',
      message: expect.stringContaining('at byte 0'),
    });
    await truncate(path, 100);
    await expect(indexTar(path)).rejects.toMatchObject({ code: 'data_tar_truncated' });
  });
});

async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content);
  tar.finalize();
  return collect(tar);
}

async function collect(stream: Pack): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
