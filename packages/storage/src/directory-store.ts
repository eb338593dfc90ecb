import { randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { mkdir, open, readdir, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BlobInfo, type BlobStat, type BlobStore, type Cancellable, ClipyardError } from '@clipyard/contracts';
import { notFound } from './blob-errors.js';
import { checkBlobKey, checkBlobPrefix, TEMPORARY_SEGMENT } from './blob-key.js';
import { flushDirectory, publish, writeFlushed } from './durable-file.js';

/** Bytes asked of the disk at once, so that an abort of a large read takes effect soon. */
const READ_BYTES = 8 << 20;
/** Unfinished writes older than this are left over from a killed process. */
const STALE_WRITE_MS = 24 * 3600 * 1000;

export interface DirectoryStoreOptions {
  /** The directory; made when missing. */
  readonly root: string;
}

/**
 * A BlobStore in a directory: one file a blob, its key the path. Unlike an object store it cannot hold a blob and blobs
 * "below" it at once (`a` and `a/b`): the second put throws `storage_failed`. Symbolic links are not listed.
 */
export class DirectoryStore implements BlobStore {
  readonly url: string;
  readonly #root: string;
  readonly #temporary: string;
  #prepared: Promise<void> | undefined;

  constructor(options: DirectoryStoreOptions) {
    this.#root = resolve(options.root);
    this.#temporary = join(this.#root, TEMPORARY_SEGMENT);
    this.url = pathToFileURL(this.#root).href;
  }

  async put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options: Cancellable = {}) {
    checkBlobKey(key);
    const { signal } = options;
    signal?.throwIfAborted();
    const unfinished = join(this.#temporary, randomUUID());
    try {
      await (this.#prepared ??= this.#prepare());
      const written = await writeFlushed(unfinished, body, signal);
      await publish(unfinished, join(this.#root, key), this.#root);
      return written;
    } catch (error) {
      this.#prepared = undefined;
      await rm(unfinished, { force: true });
      throw this.#coded(error, key, 'written');
    }
  }

  async read(key: string, options: Cancellable & { start?: number; end?: number } = {}): Promise<Uint8Array> {
    checkBlobKey(key);
    options.signal?.throwIfAborted();
    try {
      const file = await open(join(this.#root, key), 'r');
      try {
        const info = await file.stat();
        if (!info.isFile()) throw notFound(key, this.url);
        const start = Math.min(options.start ?? 0, info.size);
        const end = Math.min(options.end ?? info.size, info.size);
        const out = new Uint8Array(Math.max(0, end - start));
        let filled = 0;
        while (filled < out.length) {
          options.signal?.throwIfAborted();
          const want = Math.min(READ_BYTES, out.length - filled);
          const { bytesRead } = await file.read(out, filled, want, start + filled);
          if (bytesRead === 0) throw new ClipyardError('storage_failed', `${key} became shorter while it was read`);
          filled += bytesRead;
        }
        return out;
      } finally {
        await file.close();
      }
    } catch (error) {
      throw this.#coded(error, key, 'read');
    }
  }

  async stat(key: string, options: Cancellable = {}): Promise<BlobStat> {
    checkBlobKey(key);
    options.signal?.throwIfAborted();
    try {
      const info = await stat(join(this.#root, key));
      if (!info.isFile()) throw notFound(key, this.url);
      return { key, bytes: info.size, version: `${info.size}-${info.mtimeMs}` };
    } catch (error) {
      throw this.#coded(error, key, 'read');
    }
  }

  async *list(prefix: string, options: Cancellable = {}): AsyncIterable<BlobInfo> {
    checkBlobPrefix(prefix);
    const directory = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    yield* this.#walk(directory, prefix, options.signal);
  }

  async delete(prefix: string, options: Cancellable = {}): Promise<void> {
    checkBlobPrefix(prefix);
    const emptied = new Set<string>();
    for await (const { key } of this.list(prefix, options)) {
      options.signal?.throwIfAborted();
      const path = join(this.#root, key);
      try {
        await unlink(path);
      } catch (error) {
        if (!isMissing(error)) throw this.#coded(error, key, 'deleted');
      }
      emptied.add(dirname(path));
    }
    // Deepest first, so that a directory is empty by the time its turn comes.
    for (const directory of [...emptied].sort((a, b) => b.length - a.length)) await this.#prune(directory);
  }

  /** Blobs below `directory` ('' or ending in a slash) whose key begins with `prefix`, by key. */
  async *#walk(directory: string, prefix: string, signal: AbortSignal | undefined): AsyncIterable<BlobInfo> {
    signal?.throwIfAborted();
    let entries: Dirent[];
    try {
      entries = await readdir(join(this.#root, directory), { withFileTypes: true });
    } catch (error) {
      if (isMissing(error)) return;
      throw this.#coded(error, directory, 'listed');
    }
    // A directory sorts as its keys do, with the slash: `a-b` comes before `a/b`.
    const keys = entries
      .filter((entry) => (entry.isFile() || entry.isDirectory()) && directory + entry.name !== TEMPORARY_SEGMENT)
      .map((entry) => (entry.isDirectory() ? `${directory}${entry.name}/` : directory + entry.name))
      .filter((key) => key.startsWith(prefix) || prefix.startsWith(key))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const key of keys) {
      if (key.endsWith('/')) {
        yield* this.#walk(key, prefix, signal);
      } else if (key.startsWith(prefix)) {
        const info = await stat(join(this.#root, key)).catch((error: unknown) => {
          if (isMissing(error)) return undefined;
          throw this.#coded(error, key, 'listed');
        });
        if (info !== undefined) yield { key, bytes: info.size };
      }
    }
  }

  /** Removes the directory and its parents as far as they are empty, and flushes the first that stays. */
  async #prune(directory: string): Promise<void> {
    let at = directory;
    for (; at !== this.#root; at = dirname(at)) {
      try {
        await rmdir(at);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT') continue;
        if (code === 'ENOTEMPTY' || code === 'EEXIST') break;
        throw this.#coded(error, at.slice(this.#root.length + 1), 'deleted');
      }
    }
    await flushDirectory(at).catch((error: unknown) => {
      if (!isMissing(error)) throw this.#coded(error, at.slice(this.#root.length + 1), 'deleted');
    });
  }

  async #prepare(): Promise<void> {
    await mkdir(this.#temporary, { recursive: true });
    for (const name of await readdir(this.#temporary)) {
      const path = join(this.#temporary, name);
      const info = await stat(path).catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (info !== undefined && Date.now() - info.mtimeMs > STALE_WRITE_MS) await rm(path, { force: true });
    }
  }

  #coded(error: unknown, key: string, what: 'written' | 'read' | 'listed' | 'deleted'): unknown {
    const { code, syscall } = error as NodeJS.ErrnoException;
    // Errors without a system call are not the disk's: coded already, an abort, or the body's own.
    if (error instanceof ClipyardError || typeof syscall !== 'string' || typeof code !== 'string') return error;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      return new ClipyardError(
        'disk_full',
        `storage: no space left in ${this.url} for \`${key}\`. ${DISK_FULL_REMEDY}`,
        {
          cause: error,
          fields: [
            { path: 'storage', message: `has no space left for \`${key}\``, value: this.url, remedy: DISK_FULL_REMEDY },
          ],
        },
      );
    }
    if (what === 'read' && (isMissing(error) || code === 'EISDIR')) return notFound(key, this.url);
    const message = `could not be ${what} in ${this.url} (${code})`;
    const remedy = 'Check that the directory exists, is writable and holds no other kind of file at this place.';
    return new ClipyardError('storage_failed', `\`${key}\` ${message}. ${remedy}`, {
      cause: error,
      fields: [{ path: 'storage', message: `\`${key}\` ${message}`, value: this.url, remedy }],
    });
  }
}

const DISK_FULL_REMEDY = 'Free space, or lower checkpoint.keepLast; the last checkpoint is kept.';

/** ENOTDIR: a blob lies where the key has a directory, so there is nothing below it. */
function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
