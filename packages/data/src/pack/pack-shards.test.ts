import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dataSourceSchema } from '@clipyard/contracts';
import sharp from 'sharp';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openDataset } from '../open-dataset.js';
import { inspectDataset } from './inspect-dataset.js';
import { loadPackRecipe, packRecipe } from './pack-recipe.js';
import { type PackSample, packShards } from './pack-shards.js';

let image: Buffer;
beforeAll(async () => {
  image = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#204060' } })
    .png()
    .toBuffer();
});
let outDir: string;
beforeEach(async () => {
  outDir = await mkdtemp(join(tmpdir(), 'clipyard-pack-'));
});
afterEach(() => rm(outDir, { recursive: true, force: true }));

const samples = (count: number): PackSample[] =>
  Array.from({ length: count }, (_, i) => ({
    key: `k${i}`,
    image,
    ext: 'png',
    caption: `caption ${i % 7}`,
    json: { i },
  }));
const open = (urls: string[]) =>
  openDataset(dataSourceSchema.parse({ type: 'webdataset', urls }), {
    dataDir: outDir,
    cacheDir: join(outDir, 'cache'),
    imageSize: 4,
  });

describe('packShards', () => {
  it('writes shards that the WebDataset reader and tar read', async () => {
    const progress: number[] = [];
    const result = await packShards({
      samples: samples(25),
      outDir,
      name: 'train',
      shardSize: 10,
      onProgress: (p) => progress.push(p.samples),
    });
    expect(result).toMatchObject({ samples: 25, shards: 3, pattern: 'train-{00000..00002}.tar' });
    expect(progress.at(-1)).toBe(25);
    const dataset = await open([result.pattern]);
    expect(dataset.shardSizes).toEqual([10, 10, 5]);
    expect((await dataset.read(24)).caption).toBe('caption 3');
    await dataset.close();
    const listed = execFileSync('tar', ['-tf', result.files[2]!], { encoding: 'utf8' }).split('\n');
    expect(listed.slice(0, 4)).toEqual(['k20.png', 'k20.txt', 'k20.json', 'k21.png']);
  });

  it('writes the same bytes for the same samples, and removes what an earlier, longer packing left', async () => {
    await writeFile(join(outDir, 'train-notes.txt'), 'mine');
    const pack = (count: number) => packShards({ samples: samples(count), outDir, name: 'train', shardSize: 10 });
    const { files } = await pack(10);
    const bytes = await readFile(files[0]!);
    await pack(40);
    await pack(10);
    expect((await readFile(files[0]!)).equals(bytes)).toBe(true);
    expect((await readdir(outDir)).sort()).toEqual(['train-00000.tar', 'train-notes.txt']);
  });

  it('leaves no unfinished shard when a sample is refused, its source fails, or it is aborted', async () => {
    const refused: [PackSample, string][] = [
      [{ ...samples(1)[0]!, key: '../x' }, 'request_invalid'],
      [{ ...samples(1)[0]!, key: 'a.b' }, 'request_invalid'],
      [{ ...samples(1)[0]!, key: 'k1' }, 'request_invalid'],
      [{ ...samples(1)[0]!, key: 'k9', caption: ' ' }, 'caption_empty'],
    ];
    for (const [sample, code] of refused) {
      const pack = packShards({ samples: [...samples(3), sample], outDir, name: 't', shardSize: 10 });
      await expect(pack, sample.key).rejects.toMatchObject({ code });
    }
    const failing = (async function* () {
      yield* samples(3);
      throw new Error('source broke');
    })();
    await expect(packShards({ samples: failing, outDir, name: 't', shardSize: 10 })).rejects.toThrow('source broke');
    const signal = AbortSignal.abort(new Error('stop now'));
    await expect(packShards({ samples: samples(3), outDir, name: 't', shardSize: 10, signal })).rejects.toThrow(
      'stop now',
    );
    await expect(packShards({ samples: [], outDir, name: 't', shardSize: 10 })).rejects.toMatchObject({
      code: 'data_empty',
    });
    expect(await readdir(outDir)).toEqual([]);
  });

  it('sums up what it packed', async () => {
    const broken = { ...samples(1)[0]!, key: 'broken', image: Buffer.from('none') };
    const { pattern } = await packShards({ samples: [...samples(20), broken], outDir, name: 'train', shardSize: 100 });
    const dataset = await open([pattern]);
    const summary = await inspectDataset(dataset);
    await dataset.close();
    expect(summary).toMatchObject({
      samples: 21,
      shards: 1,
      read: 21,
      bad: 1,
      problems: [expect.stringContaining('`broken`')],
      captions: { distinct: 7, words: 8, meanWords: 2, maxWords: 2 },
    });
  });
});

describe('pack recipes', () => {
  it('are loaded from a folder or a file, and every split packed', async () => {
    const recipe = `export default { name: 'toy', shardSize: 2, splits: {
      train: async function* () { for (let i = 0; i < 5; i++) yield { key: String(i), image: Buffer.from('${image.toString('base64')}', 'base64'), ext: 'png', caption: 'c' + i }; },
      test: async function* () { yield { key: 'x', image: Buffer.from('x'), ext: 'png', caption: 'c' }; },
    } };`;
    await writeFile(join(outDir, 'recipe.mjs'), recipe);
    const loaded = await loadPackRecipe(outDir);
    expect((await loadPackRecipe(join(outDir, 'recipe.mjs'))).name).toBe('toy');
    const splits: string[] = [];
    const results = await packRecipe(loaded, {
      outDir: join(outDir, 'out'),
      onProgress: ({ split }) => splits.push(split),
    });
    expect(results).toMatchObject({
      train: { samples: 5, shards: 3 },
      test: { samples: 1, pattern: 'test-00000.tar' },
    });
    expect(splits).toEqual(['train', 'train', 'train', 'train', 'train', 'test']);
  });

  it('say what is wrong with a path or a module', async () => {
    for (const path of [join(outDir, 'none'), outDir]) {
      await expect(loadPackRecipe(path)).rejects.toMatchObject({
        code: 'data_not_found',
        fields: [{ path: 'recipe', value: path }],
      });
    }
    await writeFile(join(outDir, 'recipe.mjs'), 'export default { name: "x", splits: {} };');
    await expect(loadPackRecipe(outDir)).rejects.toMatchObject({
      code: 'request_invalid',
      fields: [{ path: 'recipe' }],
    });
  });
});
