import assert from 'node:assert';
import { type BlobStore, type Cancellable, ClipyardError } from '@clipyard/contracts';
import { captionOf, emptyCaption } from '../caption.js';
import { type DataFile, type DataFiles, nameOf } from '../data-files.js';
import type { CaptionOptions, ClassSet, Dataset, ReadOptions, Sample } from '../dataset.js';
import { undecodable } from '../image/decode.js';
import { PictureSource, type PictureSourceOptions } from '../image/picture-source.js';
import { LabelReader } from '../label-reader.js';
import { loadTarIndex } from './index-cache.js';
import { groupSamples, type ShardSample } from './shard.js';
import { damaged, type TarMember } from './tar-index.js';

/** Largest picture file that is read, bytes. */
const MAX_IMAGE_BYTES = 256 << 20;
/** Largest caption file that is read, bytes. */
const MAX_CAPTION_BYTES = 1 << 20;
/** Largest label file that is read, bytes. */
const MAX_LABEL_BYTES = 4 << 10;
/** Bytes between two members that are read along, rather than each by a read of its own. */
const MAX_GAP_BYTES = 64 << 10;
/** Shards indexed at once. */
const INDEX_CONCURRENCY = 4;
/** Captions read at once. */
const CAPTION_CONCURRENCY = 32;

export interface WebDatasetOptions extends PictureSourceOptions {
  /** Owned by the data set from here on. */
  readonly files: DataFiles;
  readonly shards: readonly DataFile[];
  readonly imageKeys: readonly string[];
  readonly captionKeys: readonly string[];
  readonly captionField: string;
  readonly labelKeys?: readonly string[];
  readonly classes?: readonly string[];
  readonly cacheDir: string;
  /** Where hosts share indices. */
  readonly indexStore?: BlobStore;
  /** The shard that is indexed first, as a share of all, 0 to 1: processes that begin apart find each other's indices. */
  readonly indexFrom?: number;
}

interface Shard extends DataFile {
  readonly samples: readonly ShardSample[];
  /** Index in the data set of its first sample. */
  readonly start: number;
}

/** Pictures and captions in tar shards, read at random by an index of each shard. */
export class WebDataset implements Dataset {
  readonly size: number;
  readonly imageSize: number;
  readonly shardSizes: readonly number[];
  readonly classes?: ClassSet;
  readonly #labels: LabelReader;
  readonly #options: WebDatasetOptions;
  readonly #shards: readonly Shard[];
  readonly #files: DataFiles;
  readonly #pictures: PictureSource;

  private constructor(options: WebDatasetOptions, shards: readonly Shard[]) {
    this.#options = options;
    this.#shards = shards;
    this.#files = options.files;
    this.#pictures = new PictureSource(options);
    this.imageSize = options.imageSize;
    this.#labels = new LabelReader(options.classes);
    if (options.classes !== undefined) this.classes = { names: options.classes };
    this.shardSizes = shards.map(({ samples }) => samples.length);
    this.size = this.shardSizes.reduce((sum, size) => sum + size, 0);
  }

  /** Indexes the shards, or loads their indices. Throws `data_tar_truncated`. */
  static async open(options: WebDatasetOptions, { signal }: Cancellable = {}): Promise<WebDataset> {
    const { shards, files, cacheDir, indexStore, indexFrom = 0, imageKeys, captionKeys, labelKeys } = options;
    const samples = new Array<ShardSample[]>(shards.length);
    const first = Math.floor(indexFrom * shards.length);
    const pending = shards.map((_, i) => (first + i) % shards.length).values();
    const place = { files, cacheDir, signal, ...(indexStore === undefined ? {} : { shared: indexStore }) };
    await Promise.all(
      Array.from({ length: INDEX_CONCURRENCY }, async () => {
        for (const i of pending) {
          const members = await loadTarIndex(shards[i]!, place);
          samples[i] = groupSamples(members, imageKeys, captionKeys, labelKeys);
        }
      }),
    );
    let start = 0;
    const indexed = shards.map((file, i) => {
      const shard = { ...file, samples: samples[i]!, start };
      start += shard.samples.length;
      return shard;
    });
    return new WebDataset(options, indexed);
  }

  async read(index: number, options: ReadOptions = {}): Promise<Sample> {
    options.signal?.throwIfAborted();
    const { shard, sample, name } = this.#find(index);
    const caption = captionMember(sample, name);
    const image = this.#pictures.keeps(index) ? undefined : imageMember(sample, name);
    const [text, picture] = await this.#members(shard, image === undefined ? [caption] : [caption, image], options);
    const captionText = this.#captionIn(text!, sample, name);
    const pixels = await this.#pictures.read(index, name, async () => picture!, options);
    const label = options.label === true ? await this.#label(shard, sample, name, options) : undefined;
    return { pixels, caption: captionText, ...(label === undefined ? {} : { label }) };
  }

  async *captions(options: CaptionOptions = {}): AsyncIterable<string> {
    const end = Math.min(this.size, options.limit ?? this.size);
    for (let start = 0; start < end; start += CAPTION_CONCURRENCY) {
      options.signal?.throwIfAborted();
      const indices = Array.from({ length: Math.min(CAPTION_CONCURRENCY, end - start) }, (_, i) => start + i);
      const captions = await Promise.all(
        indices.map(async (index) => {
          const { shard, sample, name } = this.#find(index);
          try {
            const [text] = await this.#members(shard, [captionMember(sample, name)], options);
            return this.#captionIn(text!, sample, name);
          } catch (error) {
            if (error instanceof ClipyardError && error.code === 'caption_empty') return undefined;
            throw error;
          }
        }),
      );
      for (const caption of captions) if (caption !== undefined) yield caption;
    }
  }

  close(): Promise<void> {
    return this.#files.close();
  }

  #find(index: number): { shard: Shard; sample: ShardSample; name: string } {
    assert(Number.isSafeInteger(index) && index >= 0 && index < this.size, 'the index lies in [0, size)');
    let low = 0;
    let high = this.#shards.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#shards[middle]!.start <= index) low = middle;
      else high = middle - 1;
    }
    const shard = this.#shards[low]!;
    const sample = shard.samples[index - shard.start]!;
    return { shard, sample, name: `sample \`${sample.key}\` of ${shard.url}` };
  }

  async #label(shard: Shard, sample: ShardSample, name: string, options: Cancellable): Promise<number | undefined> {
    if (sample.label === undefined) return undefined;
    const bytes = Math.min(sample.label.bytes, MAX_LABEL_BYTES);
    const [content] = await this.#members(shard, [{ ...sample.label, bytes }], options);
    return this.#labels.parse(content!.toString('utf8'), name);
  }

  #captionIn(text: Buffer, sample: ShardSample, name: string): string {
    const content = text.toString('utf8');
    return captionOf(sample.captionKind.endsWith('json') ? this.#field(content, name) : content, name);
  }

  #field(content: string, name: string): string {
    const field = this.#options.captionField;
    let value: unknown;
    try {
      value = (JSON.parse(content) as Record<string, unknown> | null)?.[field];
    } catch (error) {
      throw emptyCaption(name, `its .json is malformed (${error instanceof Error ? error.message : String(error)})`);
    }
    if (typeof value !== 'string') throw emptyCaption(name, `its .json has no text in \`${field}\``);
    return value;
  }

  /** The bytes of members, by one read where they lie close to each other, as those of a sample do. */
  async #members(shard: Shard, members: readonly TarMember[], options: Cancellable): Promise<Buffer[]> {
    const start = Math.min(...members.map(({ offset }) => offset));
    const end = Math.max(...members.map(({ offset, bytes }) => offset + bytes));
    const wanted = members.reduce((sum, { bytes }) => sum + bytes, 0);
    if (end - start - wanted > MAX_GAP_BYTES)
      return await Promise.all(members.map(({ offset, bytes }) => this.#bytes(shard, offset, bytes, options)));
    const span = await this.#bytes(shard, start, end - start, options);
    return members.map(({ offset, bytes }) => span.subarray(offset - start, offset - start + bytes));
  }

  async #bytes(shard: Shard, offset: number, bytes: number, { signal }: Cancellable): Promise<Buffer> {
    const found = await this.#files.read(shard.place, offset, bytes, { signal });
    const { field } = shard;
    if (found.length < bytes)
      throw damaged({ name: nameOf(shard), field }, offset + found.length, 'has become shorter');
    return found;
  }
}

function captionMember({ caption }: ShardSample, name: string): TarMember {
  if (caption === undefined) throw emptyCaption(name, 'the shard holds no caption of this sample');
  if (caption.bytes > MAX_CAPTION_BYTES) throw emptyCaption(name, `its file has ${caption.bytes} bytes`);
  return caption;
}

function imageMember({ image }: ShardSample, name: string): TarMember {
  if (image === undefined) throw undecodable(name, 'the shard holds no picture of this sample');
  if (image.bytes > MAX_IMAGE_BYTES) throw undecodable(name, `it has ${image.bytes} bytes`);
  return image;
}
