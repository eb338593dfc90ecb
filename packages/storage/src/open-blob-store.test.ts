import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBlobStore } from './open-blob-store.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'clipyard-store-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('openBlobStore', () => {
  it.each(['store', 'a b', 'a%20b', 'a#b', 'ü/deep'])(
    'makes and opens the directory %s of a file: URL',
    async (name) => {
      const url = pathToFileURL(join(root, name)).href;
      const store = await openBlobStore(url);
      await store.put('k', new Uint8Array(3));
      expect(store.url).toBe(url);
      expect((await (await openBlobStore(url)).stat('k')).bytes).toBe(3);
    },
  );

  it('takes file:/path as file:///path', async () => {
    const store = await openBlobStore(`file:${root}`);
    expect(store.url).toBe(pathToFileURL(root).href);
  });

  it.each(['https://bucket/path', 'storage', '', 'file:storage', 'file://host/path', 'file:///a#b', 'file:///a%2Fb'])(
    'refuses %j, naming the variable and a remedy',
    async (url) => {
      await expect(openBlobStore(url)).rejects.toMatchObject({
        code: 'config_invalid',
        fields: [{ path: 'STORAGE_URL', value: url, remedy: expect.stringContaining('file:///') }],
      });
    },
  );

  it('says storage_failed when the directory cannot be made', async () => {
    await expect(openBlobStore('file:///dev/null/x')).rejects.toMatchObject({ code: 'storage_failed' });
  });
});
