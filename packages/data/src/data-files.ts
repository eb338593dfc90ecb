import { readFile, stat } from 'node:fs/promises';
import { dirname, posix, resolve } from 'node:path';
import { type BlobStore, type Cancellable, ClipyardError, fieldError } from '@clipyard/contracts';
import { isInside, leadsOut, realDataPath, resolveDataPath } from './data-path.js';
import { FilePool } from './file-pool.js';

/** A place beside the data directory that run specs may read from. */
export interface DataRoot {
  /** What the URLs of its files begin with, such as `s3://bucket/shards/`. */
  readonly url: string;
  open(options?: Cancellable): Promise<BlobStore>;
}

/** Where a data file lies. */
export type DataPlace =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'blob'; readonly url: string; readonly root: DataRoot; readonly key: string };

/** A data file of a run spec, known to be there. */
export interface DataFile {
  /** As the spec names it, braces expanded. */
  readonly url: string;
  /** The field of the spec that names it, for errors. */
  readonly field: string;
  readonly place: DataPlace;
  readonly bytes: number;
  /** Changes when the file does. */
  readonly version: string;
}

export interface DataFilesOptions {
  readonly dataDir: string;
  readonly roots?: readonly DataRoot[];
}

/** The files that a run spec may name: those of the data directory, and those below the roots. */
export class DataFiles {
  readonly #dataDir: string;
  readonly #roots: readonly DataRoot[];
  readonly #stores = new Map<DataRoot, Promise<BlobStore>>();
  readonly #pool = new FilePool();

  constructor({ dataDir, roots = [] }: DataFilesOptions) {
    this.#dataDir = dataDir;
    // The narrowest first, which may be reached in a way of its own.
    this.#roots = [...roots].sort((a, b) => b.url.length - a.url.length);
  }

  /** The place of a URL of a spec. Throws `spec_invalid` where the URL leads out of all of them. */
  placeOf(url: string, field: string): DataPlace {
    if (!url.startsWith('s3://')) return { kind: 'file', path: resolveDataPath(this.#dataDir, url, field) };
    const found = this.#blob(url);
    if (found !== undefined) return found;
    const allowed = this.#roots.map((each) => each.url).join(', ');
    throw fieldError('spec_invalid', {
      path: field,
      message: url.includes('?')
        ? `\`${url}\` says how the bucket is reached, which is the worker's to know`
        : `\`${url}\` lies outside of what this worker may read in S3${allowed === '' ? '' : `: ${allowed}`}`,
      value: url,
      remedy: 'Name a file as `s3://bucket/key`, and list its bucket in CLIPYARD_DATA_S3 where the workers run.',
    });
  }

  /** Refuses a file that links lead to from elsewhere. Throws `spec_invalid`. */
  async checkLinks(place: DataPlace, url: string, field: string): Promise<void> {
    if (place.kind === 'file') await realDataPath(this.#dataDir, url, field);
  }

  /** The place of a name in a file, relative to that file or a URL; undefined where it leads out of all places. */
  beside(place: DataPlace, name: string): DataPlace | undefined {
    if (name.includes('\0')) return undefined;
    if (name.startsWith('s3://')) return this.#blob(name);
    if (place.kind === 'blob') {
      const key = posix.normalize(posix.join(posix.dirname(place.key), name));
      const isOutside =
        name.startsWith('/') || key === '.' || key === '..' || key.startsWith('../') || key.endsWith('/');
      return isOutside ? undefined : { ...place, url: place.root.url + key, key };
    }
    const path = resolve(dirname(place.path), name);
    return isInside(this.#dataDir, path) ? { kind: 'file', path } : undefined;
  }

  /** Undefined where no file is. */
  async stat(place: DataPlace, options: Cancellable = {}): Promise<Pick<DataFile, 'bytes' | 'version'> | undefined> {
    try {
      if (place.kind === 'blob') return await (await this.#store(place.root, options)).stat(place.key, options);
      const info = await stat(place.path);
      return info.isFile() ? { bytes: info.size, version: String(info.mtimeMs) } : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** `bytes` bytes at `offset`, or fewer at the end of the file. */
  async read(place: DataPlace, offset: number, bytes: number, options: Cancellable = {}): Promise<Buffer> {
    options.signal?.throwIfAborted();
    if (place.kind === 'file') return await this.#pool.read(place.path, offset, bytes);
    const store = await this.#store(place.root, options);
    const found = await store.read(place.key, { ...options, start: offset, end: offset + bytes });
    return Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  }

  /** A small file as a whole, or why it is none. */
  async readWhole(
    place: DataPlace,
    maxBytes: number,
    options: Cancellable = {},
  ): Promise<{ readonly content: Buffer } | { readonly problem: string; readonly cause?: unknown }> {
    const tooLarge = { problem: `it is no file of at most ${maxBytes} bytes` };
    try {
      if (place.kind === 'blob') {
        const content = await this.read(place, 0, maxBytes + 1, options);
        return content.length > maxBytes ? tooLarge : { content };
      }
      if (await leadsOut(this.#dataDir, place.path)) return { problem: 'a link leads out of the data directory' };
      const info = await stat(place.path);
      return info.isFile() && info.size <= maxBytes ? { content: await readFile(place.path) } : tooLarge;
    } catch (error) {
      if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'EACCES') {
        return { problem: `there is no readable file (${(error as NodeJS.ErrnoException).code})`, cause: error };
      }
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  #blob(url: string): DataPlace | undefined {
    const root = this.#roots.find((each) => url.startsWith(each.url) && url.length > each.url.length);
    if (root === undefined || url.includes('?')) return undefined;
    return { kind: 'blob', url, root, key: url.slice(root.url.length) };
  }

  #store(root: DataRoot, options: Cancellable): Promise<BlobStore> {
    const known = this.#stores.get(root);
    if (known !== undefined) return known;
    const opening = root.open(options);
    this.#stores.set(root, opening);
    // One that could not be opened is tried anew next time.
    opening.catch(() => this.#stores.delete(root));
    return opening;
  }
}

/** Bytes read at once of a file that is read from its beginning to its end. */
const STREAM_BYTES = 4 << 20;

/** The whole of a file, in pieces. */
export async function* pieces(files: DataFiles, file: DataFile, options: Cancellable): AsyncIterable<Buffer> {
  for (let at = 0; at < file.bytes; at += STREAM_BYTES)
    yield await files.read(file.place, at, Math.min(STREAM_BYTES, file.bytes - at), options);
}

/** What errors call a file: its path, or its URL in S3. */
export const nameOf = ({ place }: Pick<DataFile, 'place'>): string => (place.kind === 'file' ? place.path : place.url);

function isMissing(error: unknown): boolean {
  if (error instanceof ClipyardError) return error.code === 'not_found' || error.code === 'request_invalid';
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
