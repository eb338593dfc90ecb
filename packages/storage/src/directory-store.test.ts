import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blobStoreSuite } from '@clipyard/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectoryStore } from './directory-store.js';

/** Everything below `root` that is no whole blob: unfinished writes and empty directories. */
async function leftovers(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true, recursive: true });
  const parents = new Set(entries.map((entry) => entry.parentPath));
  return entries
    .map((entry) => ({ path: join(entry.parentPath, entry.name), directory: entry.isDirectory() }))
    .filter(({ path, directory }) => (directory ? !parents.has(path) : path.includes('.clipyard-tmp')))
    .map(({ path }) => path.slice(root.length + 1))
    .filter((path) => path !== '.clipyard-tmp');
}

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'clipyard-store-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

blobStoreSuite('directory', async () => ({
  store: new DirectoryStore({ root }),
  leftovers: () => leftovers(root),
  close: async () => undefined,
}));

describe('DirectoryStore', () => {
  it('works again after its directory was removed', async () => {
    const store = new DirectoryStore({ root });
    await store.put('a', new Uint8Array(1));
    await rm(root, { recursive: true });
    await expect(store.put('b', new Uint8Array(1))).rejects.toMatchObject({ code: 'storage_failed' });
    await store.put('b', new Uint8Array(1));
    expect((await store.stat('b')).bytes).toBe(1);
  });

  it('removes unfinished writes of a killed process after a day, not before', async () => {
    await new DirectoryStore({ root }).put('a', new Uint8Array(1));
    const [old, young] = ['old', 'young'].map((name) => join(root, '.clipyard-tmp', name));
    await writeFile(old!, 'x');
    await writeFile(young!, 'x');
    const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
    await utimes(old!, twoDaysAgo, twoDaysAgo);
    await new DirectoryStore({ root }).put('b', new Uint8Array(1));
    expect(await leftovers(root)).toEqual(['.clipyard-tmp/young']);
  });

  it('refuses keys in its reserved directory and does not list it', async () => {
    const store = new DirectoryStore({ root });
    await expect(store.put('.clipyard-tmp/x', new Uint8Array(1))).rejects.toMatchObject({ code: 'request_invalid' });
  });

  it('says storage_failed when a blob lies where a directory is needed', async () => {
    const store = new DirectoryStore({ root });
    await store.put('a', new Uint8Array(1));
    const failure = store.put('a/b', new Uint8Array(1));
    await expect(failure).rejects.toMatchObject({
      code: 'storage_failed',
      fields: [{ path: 'storage', value: store.url }],
    });
    expect(await leftovers(root)).toEqual([]);
  });

  const mountable = canMount();
  it.skipIf(!mountable)(
    `says disk_full and leaves nothing behind${mountable ? '' : ' (skipped: needs root and tmpfs)'}`,
    async () => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', root]);
      try {
        const store = new DirectoryStore({ root });
        await store.put('kept', new Uint8Array(300_000));
        const large = (async function* () {
          for (let i = 0; i < 30; i++) yield new Uint8Array(100_000);
        })();
        const failure = await store.put('runs/1/large', large).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(failure).toMatchObject({
          code: 'disk_full',
          retryable: true,
          fields: [{ path: 'storage', value: store.url, remedy: expect.stringContaining('Free space') }],
        });
        expect(await leftovers(root)).toEqual([]);
        expect((await store.read('kept')).length).toBe(300_000);
        // The space is free again at once.
        await store.put('runs/1/small', new Uint8Array(500_000));
      } finally {
        execFileSync('umount', [root]);
      }
    },
  );
});

function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
