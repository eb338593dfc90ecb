import { createHash, randomBytes } from 'node:crypto';
import type { BlobStore } from '@clipyard/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

export interface BlobStoreFixture {
  readonly store: BlobStore;
  /** Set for an emulator that lists in another order than that of bytes. */
  readonly unordered?: boolean;
  /** Everything that the store keeps beside whole blobs, such as unfinished writes; empty when all is well. */
  leftovers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** More than a store sends or fetches in one request. */
const LARGE_BYTES = 20_000_003;
/** More than the store at hand lists or deletes by one request. */
const MANY_KEYS = 120;

/** The conformance suite of the BlobStore port; `make` gives a new, empty store for each test. */
export function blobStoreSuite(name: string, make: () => Promise<BlobStoreFixture>): void {
  describe(`BlobStore: ${name}`, () => {
    let fixture: BlobStoreFixture;
    let store: BlobStore;

    beforeEach(async () => {
      fixture = await make();
      store = fixture.store;
    });
    afterEach(() => fixture.close());

    it('gives back what was put, with its length and sha256', async () => {
      const body = new Uint8Array(randomBytes(100_003));
      const put = await store.put('runs/a/model.bin', body);
      expect(put).toEqual({ bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') });
      expect(await store.stat('runs/a/model.bin')).toEqual({
        key: 'runs/a/model.bin',
        bytes: body.length,
        version: expect.any(String),
      });
      expect(Buffer.from(await store.read('runs/a/model.bin')).equals(body)).toBe(true);
    });

    it('takes a stream of chunks, empty ones among them, and an empty blob', async () => {
      const chunks = [bytes('one '), bytes(''), bytes('two')];
      const put = await store.put('streamed', stream(chunks));
      expect(put.sha256).toBe(createHash('sha256').update('one two').digest('hex'));
      expect(text(await store.read('streamed'))).toBe('one two');
      expect((await store.put('empty', new Uint8Array(0))).bytes).toBe(0);
      expect((await store.read('empty')).length).toBe(0);
    });

    it('reads byte ranges, cut off at the end of the blob', async () => {
      await store.put('digits', bytes('0123456789'));
      expect(text(await store.read('digits', { start: 2, end: 5 }))).toBe('234');
      expect(text(await store.read('digits', { start: 7 }))).toBe('789');
      expect(text(await store.read('digits', { end: 3 }))).toBe('012');
      expect(text(await store.read('digits', { start: 8, end: 100 }))).toBe('89');
      expect(text(await store.read('digits', { start: 4, end: 4 }))).toBe('');
    });

    it('replaces a blob as a whole', async () => {
      await store.put('k', bytes('a longer first version'));
      await store.put('k', bytes('second'));
      expect(text(await store.read('k'))).toBe('second');
    });

    it('leaves the old blob and nothing else behind when the body fails in the middle', async () => {
      await store.put('k', bytes('old'));
      const failing = (async function* () {
        yield bytes('half of the new');
        throw new Error('source broke');
      })();
      await expect(store.put('k', failing)).rejects.toThrow('source broke');
      expect(text(await store.read('k'))).toBe('old');
      await expect(store.put('fresh', stream([bytes('x')], new Error('broke')))).rejects.toThrow('broke');
      await expect(store.stat('fresh')).rejects.toMatchObject({ code: 'not_found' });
      expect(await keys(store, '')).toEqual(['k']);
      expect(await fixture.leftovers()).toEqual([]);
    });

    it('stops a put at an abort, also while the body hangs', async () => {
      const controller = new AbortController();
      const hanging = (async function* () {
        yield bytes('start');
        setTimeout(() => controller.abort(new Error('stop now')), 10);
        await new Promise(() => undefined);
      })();
      await expect(store.put('k', hanging, { signal: controller.signal })).rejects.toThrow('stop now');
      expect(await keys(store, '')).toEqual([]);
      expect(await fixture.leftovers()).toEqual([]);
      for (const call of [
        () => store.put('k', bytes('x'), { signal: controller.signal }),
        () => store.read('k', { signal: controller.signal }),
        () => store.stat('k', { signal: controller.signal }),
      ]) {
        await expect(call()).rejects.toThrow('stop now');
      }
    });

    it('says not_found for what is not there', async () => {
      await store.put('dir/blob', bytes('x'));
      for (const key of ['nothing', 'dir', 'dir/blob/below', 'dir/other']) {
        await expect(store.read(key)).rejects.toMatchObject({ code: 'not_found' });
        await expect(store.stat(key)).rejects.toMatchObject({ code: 'not_found' });
      }
    });

    it('lists by string prefix, in the order of keys', async () => {
      for (const key of ['a/b/c', 'a-b', 'a/bc', 'ab', 'b', 'a/0/z']) {
        await store.put(key, bytes(key));
      }
      expect(await keys(store, '')).toEqual(['a-b', 'a/0/z', 'a/b/c', 'a/bc', 'ab', 'b']);
      expect(await keys(store, 'a/')).toEqual(['a/0/z', 'a/b/c', 'a/bc']);
      expect(await keys(store, 'a/b')).toEqual(['a/b/c', 'a/bc']);
      expect(await keys(store, 'a/b/c')).toEqual(['a/b/c']);
      expect(await keys(store, 'none/')).toEqual([]);
      for await (const info of store.list('a-b')) expect(info).toEqual({ key: 'a-b', bytes: 3 });
    });

    it('deletes by prefix and only that, and twice does no harm', async () => {
      for (const key of ['runs/1/step-1/m', 'runs/1/step-1/o', 'runs/1/step-10/m', 'runs/2/m']) {
        await store.put(key, bytes(key));
      }
      await store.delete('runs/1/step-1/');
      expect(await keys(store, '')).toEqual(['runs/1/step-10/m', 'runs/2/m']);
      await store.delete('runs/1/step-1/');
      await store.delete('runs/1');
      expect(await keys(store, '')).toEqual(['runs/2/m']);
      await store.put('runs/1', bytes('a blob where a directory was'));
      await store.delete('');
      expect(await keys(store, '')).toEqual([]);
      expect(await fixture.leftovers()).toEqual([]);
    });

    it('refuses keys that are no plain relative path', async () => {
      const bad = ['', '/etc/passwd', '../x', 'a/../b', 'a/./b', 'a//b', 'a/', 'a\0b', 'a\\b', '..', 'x'.repeat(2000)];
      for (const key of bad) {
        await expect(store.put(key, bytes('x')), JSON.stringify(key)).rejects.toMatchObject({
          code: 'request_invalid',
        });
        await expect(store.read(key), JSON.stringify(key)).rejects.toMatchObject({ code: 'request_invalid' });
        await expect(store.stat(key), JSON.stringify(key)).rejects.toMatchObject({ code: 'request_invalid' });
      }
      for (const prefix of ['../', '/etc', 'a/../']) {
        await expect(store.delete(prefix)).rejects.toMatchObject({ code: 'request_invalid' });
        await expect(keys(store, prefix)).rejects.toMatchObject({ code: 'request_invalid' });
      }
      expect(await keys(store, '')).toEqual([]);
    });

    it('takes a large blob, whole or as a stream, and reads it whole and by ranges to its end', async () => {
      const body = new Uint8Array(randomBytes(LARGE_BYTES));
      const sha256 = createHash('sha256').update(body).digest('hex');
      expect(await store.put('large', body)).toEqual({ bytes: LARGE_BYTES, sha256 });
      // Chunks of one memory that is used again, as a disk's reader gives them.
      const chunk = new Uint8Array(777_777);
      const reused = (async function* () {
        for (let at = 0; at < LARGE_BYTES; at += chunk.length) {
          const part = body.subarray(at, at + chunk.length);
          chunk.set(part);
          yield chunk.subarray(0, part.length);
        }
      })();
      expect(await store.put('streamed', reused)).toEqual({ bytes: LARGE_BYTES, sha256 });
      for (const key of ['large', 'streamed'])
        expect(
          createHash('sha256')
            .update(await store.read(key))
            .digest('hex'),
        ).toBe(sha256);
      const end = await store.read('large', { start: LARGE_BYTES - 5 });
      expect([...end]).toEqual([...body.subarray(-5)]);
      const wide = await store.read('large', { start: 1_000_001, end: LARGE_BYTES - 1 });
      expect(Buffer.compare(wide, body.subarray(1_000_001, -1))).toBe(0);
      expect((await store.read('large', { start: LARGE_BYTES })).length).toBe(0);
      expect(await fixture.leftovers()).toEqual([]);
    });

    it('leaves nothing behind when a large put fails or is aborted in the middle', async () => {
      const controller = new AbortController();
      const endless = (last: () => Promise<void>) =>
        (async function* () {
          for (let sent = 0; sent < LARGE_BYTES; sent += 1 << 20) yield new Uint8Array(1 << 20).fill(sent >> 20);
          await last();
        })();
      const failing = endless(async () => {
        throw new Error('source broke');
      });
      await expect(store.put('k', failing)).rejects.toThrow('source broke');
      const hanging = endless(async () => {
        controller.abort(new Error('stop now'));
        await new Promise(() => undefined);
      });
      await expect(store.put('k', hanging, { signal: controller.signal })).rejects.toThrow('stop now');
      expect(await keys(store, '')).toEqual([]);
      expect(await fixture.leftovers()).toEqual([]);
    });

    it('stops a large read at an abort', async () => {
      await store.put('large', new Uint8Array(randomBytes(LARGE_BYTES)));
      const controller = new AbortController();
      const reading = store.read('large', { signal: controller.signal });
      setTimeout(() => controller.abort(new Error('stop now')), 1);
      await expect(reading).rejects.toThrow('stop now');
    });

    it('tells a blob from the one that it replaces', async () => {
      await store.put('k', bytes('one'));
      const { version } = await store.stat('k');
      expect((await store.stat('k')).version).toBe(version);
      await store.put('k', bytes('other'));
      expect((await store.stat('k')).version).not.toBe(version);
    });

    it('takes odd names, and lists them in the order of their bytes', async () => {
      const names = [
        'a b',
        'a+b',
        'a%20b',
        'a&b<c>',
        'a\'b"c',
        'ü',
        'e\u0301',
        '日本',
        '\uff41',
        '😀',
        '~',
        ' x',
        'x ',
      ];
      for (const name of names) await store.put(`odd/${name}/blob`, bytes(name));
      const sort = (found: string[]) => found.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const found = async () => (fixture.unordered ? sort(await keys(store, '')) : await keys(store, ''));
      const sorted = sort(names.map((name) => `odd/${name}/blob`));
      expect(await found()).toEqual(sorted);
      for (const name of names) {
        expect(text(await store.read(`odd/${name}/blob`))).toBe(name);
        expect(await keys(store, `odd/${name}/`)).toEqual([`odd/${name}/blob`]);
      }
      await store.delete('odd/a');
      expect(await found()).toEqual(sorted.filter((key) => !key.startsWith('odd/a')));
    });

    it('lists and deletes more keys than one page holds', async () => {
      const names = Array.from({ length: MANY_KEYS }, (_, i) => `many/${String(i).padStart(5, '0')}`);
      const pending = names.values();
      const writers = Array.from({ length: 16 }, async () => {
        for (const name of pending) await store.put(name, bytes(name));
      });
      await Promise.all(writers);
      await store.put('other', bytes('stays'));
      expect(await keys(store, 'many/')).toEqual(names);
      await store.delete('many/');
      expect(await keys(store, '')).toEqual(['other']);
    });

    it('keeps one of two large blobs that are written to one key at once', async () => {
      const bodies = [1, 2].map((value) => new Uint8Array(LARGE_BYTES).fill(value));
      const written = await Promise.all(bodies.map((body) => store.put('k', body)));
      const sha256 = createHash('sha256')
        .update(await store.read('k'))
        .digest('hex');
      expect(written.map((each) => each.sha256)).toContain(sha256);
      expect(await fixture.leftovers()).toEqual([]);
    });

    it('shows readers a whole blob, old or new, while writers replace and delete its neighbours', async () => {
      const versions = [1, 2].map((v) => new Uint8Array(50_000).fill(v));
      await store.put('shared/blob', versions[0]!);
      const writers = [0, 1].map(async (writer) => {
        for (let i = 0; i < 10; i++) {
          await store.put('shared/blob', versions[writer]!);
          await store.put(`near/${writer}/blob`, versions[writer]!);
          await store.delete(`near/${writer}/`);
        }
      });
      for (let i = 0; i < 20; i++) {
        const seen = await store.read('shared/blob');
        expect(seen.length).toBe(50_000);
        expect(new Set(seen).size).toBe(1);
      }
      await Promise.all(writers);
      expect(await keys(store, '')).toEqual(['shared/blob']);
    });
  });
}

const bytes = (value: string) => new TextEncoder().encode(value);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

async function* stream(chunks: readonly Uint8Array[], failure?: Error): AsyncIterable<Uint8Array> {
  yield* chunks;
  if (failure !== undefined) throw failure;
}

async function keys(store: BlobStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix)) found.push(key);
  return found;
}
