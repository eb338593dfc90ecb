import { type Cancellable, type ClipyardError, fieldError } from '@clipyard/contracts';
import { isZeroBlock, parsePaxRecords, parseTarHeader, TAR_BLOCK, type TarHeader, text } from './tar-header.js';

/** Where a file lies in a tar: its bytes can be read there without the rest. */
export interface TarMember {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface IndexTarOptions extends Cancellable {
  /** The field of the run spec that names the tar, for errors; default `shard`. */
  readonly field?: string;
}

/** A tar that is read in pieces. */
export interface TarSource {
  /** For errors. */
  readonly name: string;
  readonly bytes: number;
  /** Bytes to read at once while headers are walked; small members lie within, large ones are jumped over. */
  readonly windowBytes: number;
  /** `bytes` bytes at `offset`, or fewer at the end. */
  read(offset: number, bytes: number, options: Cancellable): Promise<Uint8Array>;
}

interface NamedTar {
  readonly name: string;
  readonly field?: string;
}

/** Longest name or PAX header that is read, bytes. */
const MAX_EXTENSION_BYTES = 1 << 20;

/**
 * The files of a tar, in its order, from the headers alone. Names are only keys: nothing is ever written by them.
 * Throws `data_tar_truncated` naming the shard and the offset where the archive stops or makes no sense.
 */
export async function indexTar(source: TarSource, options: IndexTarOptions = {}): Promise<TarMember[]> {
  const tar = { name: source.name, ...(options.field === undefined ? {} : { field: options.field }) };
  return await walk(new Window(source, options.signal), tar, source.bytes, options.signal);
}

async function walk(
  window: Window,
  tar: NamedTar,
  size: number,
  signal: AbortSignal | undefined,
): Promise<TarMember[]> {
  const members: TarMember[] = [];
  const everywhere = new Map<string, string>();
  let next = new Map<string, string>();
  for (let at = 0; ; ) {
    signal?.throwIfAborted();
    if (at + TAR_BLOCK > size) throw damaged(tar, at, 'ends without the empty block that closes an archive');
    const block = await window.read(at, TAR_BLOCK);
    if (isZeroBlock(block)) return members;
    const header = parseTarHeader(block);
    if (header === undefined) throw damaged(tar, at, 'has no valid header where one must be');

    const data = at + TAR_BLOCK;
    const isExtension = 'LKxg'.includes(header.type);
    const sizeRecord = isExtension ? undefined : (next.get('size') ?? everywhere.get('size'));
    const bytes = sizeRecord === undefined ? header.bytes : Number(sizeRecord);
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw damaged(tar, at, 'has a size that is no number');
    if (data + bytes > size)
      throw damaged(tar, at, `ends within \`${header.name}\`, ${data + bytes - size} bytes early`);
    at = data + Math.ceil(bytes / TAR_BLOCK) * TAR_BLOCK;

    if (isExtension) {
      if (bytes > MAX_EXTENSION_BYTES) throw damaged(tar, data - TAR_BLOCK, `has an extended header of ${bytes} bytes`);
      const records = readExtension(header, await window.read(data, bytes));
      if (records === undefined) throw damaged(tar, data - TAR_BLOCK, 'has a malformed extended header');
      for (const [key, value] of records) (header.type === 'g' ? everywhere : next).set(key, value);
      continue;
    }
    const name = next.get('path') ?? everywhere.get('path') ?? header.name;
    next = new Map();
    // `7` is a contiguous file, which everybody reads as a file; links, directories and devices hold no data.
    if (header.type === '0' || header.type === '7')
      members.push({ name: name.replace(/^(\.?\/)+/, ''), offset: data, bytes });
  }
}

function readExtension(header: TarHeader, body: Uint8Array): Map<string, string> | undefined {
  if (header.type === 'L') return new Map([['path', text(body, 0, body.length)]]);
  if (header.type === 'K') return new Map();
  return parsePaxRecords(body);
}

/** Reads small pieces of a file at growing offsets with few reads. */
class Window {
  readonly #source: TarSource;
  readonly #signal: AbortSignal | undefined;
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(source: TarSource, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#signal = signal;
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    if (offset < this.#start || offset + bytes > this.#start + this.#buffer.length) {
      const wanted = Math.min(Math.max(bytes, this.#source.windowBytes), this.#source.bytes - offset);
      this.#buffer = new Uint8Array(0);
      this.#buffer = await this.#source.read(offset, wanted, { signal: this.#signal });
      this.#start = offset;
    }
    const from = offset - this.#start;
    return this.#buffer.subarray(from, from + bytes);
  }
}

/** The error of a shard that cannot be read from `offset` on. */
export function damaged(tar: NamedTar, offset: number, reason: string): ClipyardError {
  return fieldError('data_tar_truncated', {
    path: tar.field ?? 'shard',
    message: `${tar.name} ${reason}, at byte ${offset}`,
    value: tar.name,
    remedy: 'Copy or pack the shard again.',
  });
}
