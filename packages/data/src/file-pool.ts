import assert from 'node:assert';
import { type FileHandle, open } from 'node:fs/promises';

/** Files that are kept open at once beyond those being read. */
const MAX_OPEN_FILES = 64;

interface PooledFile {
  readonly handle: Promise<FileHandle>;
  readers: number;
}

/** Reads pieces of many files at random and keeps the lately read ones open. */
export class FilePool {
  /** In the order of last use. */
  readonly #files = new Map<string, PooledFile>();
  #closed = false;

  /** `bytes` bytes at `offset`, or fewer at the end of the file. */
  async read(path: string, offset: number, bytes: number): Promise<Buffer> {
    assert(!this.#closed, 'the pool is open');
    const file = this.#files.get(path) ?? { handle: open(path, 'r'), readers: 0 };
    this.#files.delete(path);
    this.#files.set(path, file);
    file.readers++;
    try {
      const handle = await this.#opened(path, file);
      const out = Buffer.allocUnsafe(bytes);
      let filled = 0;
      while (filled < bytes) {
        const { bytesRead } = await handle.read(out, filled, bytes - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return out.subarray(0, filled);
    } finally {
      file.readers--;
      await this.#trim();
    }
  }

  /** Closes every file; reads that are under way end first. */
  async close(): Promise<void> {
    this.#closed = true;
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await (await file.handle).close();
  }

  async #opened(path: string, file: PooledFile): Promise<FileHandle> {
    try {
      return await file.handle;
    } catch (error) {
      // A file that could not be opened is tried anew next time.
      if (this.#files.get(path) === file) this.#files.delete(path);
      throw error;
    }
  }

  async #trim(): Promise<void> {
    for (const [path, file] of this.#files) {
      if (this.#files.size <= MAX_OPEN_FILES) return;
      if (file.readers > 0) continue;
      this.#files.delete(path);
      await (await file.handle).close();
    }
  }
}
