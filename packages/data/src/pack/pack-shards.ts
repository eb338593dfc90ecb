import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Cancellable, fieldError } from '@clipyard/contracts';
import { type Pack, pack } from 'tar-stream';

/** One sample to be packed. */
export interface PackSample {
  /** Its name in the shard, unique there, without a dot in the last segment. */
  readonly key: string;
  /** The picture's file. */
  readonly image: Uint8Array;
  /** Extension that says the picture's format, such as `png`. */
  readonly ext: string;
  readonly caption: string;
  /** Whatever else is known of it; stored as `.json`. */
  readonly json?: Readonly<Record<string, unknown>>;
}

export interface PackProgress {
  /** So far. */
  readonly samples: number;
  readonly shards: number;
}

export interface PackOptions extends Cancellable {
  readonly samples: AsyncIterable<PackSample> | Iterable<PackSample>;
  /** Made when missing. */
  readonly outDir: string;
  /** Shards are called `<name>-00000.tar` and so on. */
  readonly name: string;
  /** Samples a shard. */
  readonly shardSize: number;
  onProgress?(progress: PackProgress): void;
}

export interface PackResult extends PackProgress {
  readonly files: readonly string[];
  readonly bytes: number;
  /** What a run spec names the shards by, relative to `outDir`, such as `train-{00000..00009}.tar`. */
  readonly pattern: string;
}

/** Numbers of shards have five digits. */
const MAX_SHARDS = 100_000;

/**
 * Writes samples as WebDataset tar shards, the same bytes for the same samples. A shard appears under its name only when
 * it is whole; shards of an earlier, longer packing of the same name are removed at the end.
 */
export async function packShards(options: PackOptions): Promise<PackResult> {
  const { outDir, name, shardSize, signal } = options;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]*$/.test(name))
    throw invalid('name', name, 'is no plain file name', 'Use letters, digits, `.`, `_`, `-`.');
  if (!Number.isSafeInteger(shardSize) || shardSize < 1)
    throw invalid('shardSize', shardSize, 'is no positive integer', 'Use 1000, say.');
  await mkdir(outDir, { recursive: true });
  const files: string[] = [];
  let shard: ShardWriter | undefined;
  let samples = 0;
  let bytes = 0;
  const finish = async () => {
    if (shard === undefined) return;
    const path = await shard.finish();
    shard = undefined;
    files.push(path);
    bytes += (await stat(path)).size;
  };
  try {
    for await (const sample of options.samples) {
      signal?.throwIfAborted();
      if (files.length === MAX_SHARDS)
        throw invalid('shardSize', shardSize, `needs more than ${MAX_SHARDS} shards`, 'Make it larger.');
      shard ??= new ShardWriter(join(outDir, shardName(name, files.length)));
      await shard.add(sample);
      samples++;
      if (shard.size === shardSize) await finish();
      options.onProgress?.({ samples, shards: files.length });
    }
    await finish();
  } catch (error) {
    await shard?.discard();
    throw error;
  }
  if (samples === 0)
    throw fieldError('data_empty', {
      path: 'samples',
      message: `there is nothing to pack as \`${name}\``,
      remedy: 'Check its source.',
    });
  await removeOlder(outDir, name, files.length);
  const last = String(files.length - 1).padStart(5, '0');
  return {
    samples,
    shards: files.length,
    files,
    bytes,
    pattern: files.length === 1 ? shardName(name, 0) : `${name}-{00000..${last}}.tar`,
  };
}

const shardName = (name: string, index: number): string => `${name}-${String(index).padStart(5, '0')}.tar`;

const invalid = (path: string, value: unknown, message: string, remedy: string) =>
  fieldError('request_invalid', { path, message: `\`${value}\` ${message}`, value, remedy });

class ShardWriter {
  readonly #path: string;
  readonly #unfinished: string;
  readonly #tar: Pack = pack();
  readonly #written: Promise<void>;
  readonly #keys = new Set<string>();

  constructor(path: string) {
    this.#path = path;
    this.#unfinished = `${path}.${randomUUID()}`;
    this.#written = pipeline(this.#tar, createWriteStream(this.#unfinished, { flush: true }));
    // A failed write is thrown by `finish` or by the entry that meets it; nobody awaits it before.
    this.#written.catch(() => undefined);
  }

  get size(): number {
    return this.#keys.size;
  }

  async add(sample: PackSample): Promise<void> {
    const { key, ext, image, caption, json } = sample;
    const parts = key.split('/');
    if (
      parts.some((part) => part === '' || part === '..' || part.startsWith('.')) ||
      parts.at(-1)!.includes('.') ||
      key.includes('\0')
    ) {
      throw invalid('key', key, 'is no key of a sample', 'Use a relative name without a dot in its last segment.');
    }
    if (this.#keys.has(key)) throw invalid('key', key, 'occurs twice', 'Give every sample a key of its own.');
    if (caption.trim() === '')
      throw fieldError('caption_empty', {
        path: 'caption',
        message: `of \`${key}\` is empty`,
        value: caption,
        remedy: 'Leave the sample out.',
      });
    this.#keys.add(key);
    await this.#entry(`${key}.${ext}`, image);
    await this.#entry(`${key}.txt`, Buffer.from(caption));
    if (json !== undefined) await this.#entry(`${key}.json`, Buffer.from(JSON.stringify(json)));
  }

  async finish(): Promise<string> {
    this.#tar.finalize();
    await this.#written;
    await rename(this.#unfinished, this.#path);
    return this.#path;
  }

  async discard(): Promise<void> {
    this.#tar.destroy();
    await Promise.allSettled([this.#written]);
    await rm(this.#unfinished, { force: true });
  }

  #entry(name: string, body: Uint8Array): Promise<unknown> {
    // Fixed owner and time: the same samples give the same bytes.
    const header = { name, size: body.length, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 };
    const taken = new Promise<void>((resolve, reject) => {
      this.#tar.entry(header, Buffer.from(body), (error) => (error ? reject(error) : resolve()));
    });
    // When the file cannot be written, the tar's own callback may never come.
    return Promise.race([taken, this.#written]);
  }
}

async function removeOlder(outDir: string, name: string, from: number): Promise<void> {
  for (const file of await readdir(outDir)) {
    const number = file.startsWith(`${name}-`) ? /^(\d{5})\.tar$/.exec(file.slice(name.length + 1)) : null;
    if (number !== null && Number(number[1]) >= from) await rm(join(outDir, file));
  }
}
