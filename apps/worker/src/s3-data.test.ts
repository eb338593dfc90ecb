import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlobStore, dataSourceSchema } from '@clipyard/contracts';
import { type DataRoot, type Dataset, encodePng, openDataset, packShards } from '@clipyard/data';
import { openBlobStore, s3Roots } from '@clipyard/storage';
import { type S3Server, startS3Server } from '@clipyard/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

const SAMPLES = 40;
const SIZE = 8;

let server: S3Server;
let root: string;
let store: BlobStore;
/** The URL of the test's own prefix, without how it is reached. */
let url: string;
let roots: readonly DataRoot[];

beforeAll(async () => {
  server = await startS3Server();
  for (const [name, value] of Object.entries(server.environment)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server.close();
});
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'clipyard-s3-data-'));
  const prefix = `data/${randomUUID()}`;
  store = await openBlobStore(server.url(prefix));
  url = `s3://${server.bucket}/${prefix}`;
  roots = s3Roots(server.url(prefix), 'CLIPYARD_DATA_S3');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const open = (source: object, options: object = {}): Promise<Dataset> =>
  openDataset(dataSourceSchema.parse(source), {
    dataDir: join(root, 'data'),
    cacheDir: join(root, 'cache'),
    dataRoots: roots,
    imageSize: SIZE,
    ...options,
  });

/** Pictures of one colour each, in shards below `data/`, and the names of the shards. */
async function packed(): Promise<string[]> {
  const samples = Array.from({ length: SAMPLES }, async (_, i) => ({
    key: String(i).padStart(4, '0'),
    image: await encodePng(new Uint8Array(SIZE * SIZE * 3).fill(i * 5), SIZE),
    ext: 'png',
    caption: `sample number ${i}`,
  }));
  await packShards({ samples: await Promise.all(samples), outDir: join(root, 'data'), name: 'train', shardSize: 10 });
  const shards = (await readdir(join(root, 'data'))).filter((name) => name.endsWith('.tar')).sort();
  for (const name of shards) await store.put(`shards/${name}`, await readFile(join(root, 'data', name)));
  return shards;
}

async function samplesOf(dataset: Dataset) {
  try {
    return await Promise.all(Array.from({ length: dataset.size }, (_, i) => dataset.read(i)));
  } finally {
    await dataset.close();
  }
}

describe('openDataset on S3', () => {
  it('reads the same samples from shards in a bucket as from files', async () => {
    const shards = await packed();
    const braces = `{${shards.map((name) => name.slice(0, -4)).join(',')}}.tar`;
    const local = await samplesOf(await open({ type: 'webdataset', urls: [braces] }));
    const remote = await samplesOf(await open({ type: 'webdataset', urls: [`${url}/shards/${braces}`] }));
    expect(remote.length).toBe(SAMPLES);
    expect(remote).toEqual(local);
  });

  it('keeps indices beside the checkpoints, for the other hosts, until a shard is replaced', async () => {
    const shards = await packed();
    const indexStore = await openBlobStore(server.url(`checkpoints/${randomUUID()}`));
    const source = { type: 'webdataset', urls: shards.map((name) => `${url}/shards/${name}`) };
    const sizeFor = async (host: string) => {
      const dataset = await open(source, { cacheDir: join(root, host), indexStore, indexFrom: 0.5 });
      await dataset.close();
      return dataset.size;
    };
    const indices = async () => {
      const keys: string[] = [];
      for await (const { key } of indexStore.list('tar-index/')) keys.push(key);
      return keys;
    };
    expect(await sizeFor('a')).toBe(SAMPLES);
    const kept = await indices();
    expect(kept.length).toBe(shards.length);
    // The other host takes what it finds there, as an index that says something else shows.
    const index = JSON.parse(Buffer.from(await indexStore.read(kept[0]!)).toString('utf8'));
    const empty = { ...index, names: [], offsets: [], bytes: [] };
    await indexStore.put(kept[0]!, Buffer.from(JSON.stringify(empty)));
    expect(await sizeFor('b')).toBe(SAMPLES - 10);
    // None stays what it was.
    for (const [i, name] of shards.entries()) {
      const other = shards[(i + 1) % shards.length]!;
      await store.put(`shards/${name}`, await readFile(join(root, 'data', other)));
    }
    expect(await sizeFor('b')).toBe(SAMPLES);
    expect((await indices()).length).toBeGreaterThan(kept.length);
  });

  it('reads a table and the pictures beside it; one that is missing or lies outside is a bad sample', async () => {
    const png = await encodePng(new Uint8Array(SIZE * SIZE * 3).fill(9), SIZE);
    await store.put('table/pictures/a.png', png);
    const rows = [
      'pictures/a.png\tone',
      `${url}/table/pictures/a.png\ttwo`,
      'pictures/none.png\tthree',
      '../../x\tfour',
    ];
    await store.put('table/train.tsv', Buffer.from(['filepath\ttitle', ...rows].join('\n')));
    const dataset = await open({ type: 'csv', urls: [`${url}/table/train.tsv`] });
    expect(dataset.size).toBe(4);
    expect((await dataset.read(0)).pixels).toEqual(new Uint8Array(SIZE * SIZE * 3).fill(9));
    expect((await dataset.read(1)).caption).toBe('two');
    await expect(dataset.read(2)).rejects.toMatchObject({ code: 'image_undecodable' });
    await expect(dataset.read(3)).rejects.toMatchObject({ code: 'image_undecodable' });
    await dataset.close();
  });

  it('says which field names a shard that is missing, damaged, or in a bucket that is not allowed', async () => {
    await store.put('cut.tar', Buffer.from('no tar'));
    const failure = (name: string) => open({ type: 'webdataset', urls: [`${url}/cut.tar`, name] });
    await expect(failure(`${url}/none-{0..2}.tar`)).rejects.toMatchObject({
      code: 'data_not_found',
      fields: [{ path: 'data.train.urls[1]', value: `${url}/none-0.tar` }],
    });
    await expect(failure(`${url}/cut.tar`)).rejects.toMatchObject({
      code: 'data_tar_truncated',
      fields: [{ path: 'data.train.urls[0]', value: `${url}/cut.tar` }],
    });
    for (const name of ['s3://other/a.tar', `${url}-2/a.tar`, `${url}/a.tar?endpoint=http://10.0.0.1`]) {
      await expect(failure(name), name).rejects.toMatchObject({
        code: 'spec_invalid',
        fields: [{ path: 'data.train.urls[1]', remedy: expect.stringContaining('CLIPYARD_DATA_S3') }],
      });
    }
    await mkdir(join(root, 'data'), { recursive: true });
    await writeFile(join(root, 'data', 't.tsv'), 'filepath\ttitle\ns3://other/a.png\tone');
    const table = await open({ type: 'csv', urls: ['t.tsv'] });
    await expect(table.read(0)).rejects.toMatchObject({ code: 'image_undecodable' });
    await table.close();
  });

  it('stops at an abort while it indexes', async () => {
    const shards = await packed();
    const signal = AbortSignal.abort(new Error('stop now'));
    const source = { type: 'webdataset', urls: [`${url}/shards/${shards[0]}`] };
    await expect(open(source, { signal })).rejects.toThrow('stop now');
  });
});
