import assert from 'node:assert';
import { type Cancellable, ClipyardError } from '@clipyard/contracts';
import { captionOf, emptyCaption } from '../caption.js';
import type { CaptionOptions, ClassSet, Dataset, ReadOptions, Sample } from '../dataset.js';
import { FilePool } from '../file-pool.js';
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
/** Shards indexed at once. */
const INDEX_CONCURRENCY = 4;
/** Captions read at once. */
const CAPTION_CONCURRENCY = 32;

export interface WebDatasetOptions extends PictureSourceOptions {
  /** `field` names the shard's URL in the run spec, for errors. */
  readonly shards: readonly { readonly url: string; readonly path: string; readonly field: string }[];
  readonly imageKeys: readonly string[];
  readonly captionKeys: readonly string[];
  readonly captionField: string;
  readonly labelKeys?: readonly string[];
  readonly classes?: readonly string[];
  readonly cacheDir: string;
}

interface Shard {
  readonly url: string;
  readonly path: string;
  readonly field: string;
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
  readonly #files = new FilePool();
  readonly #pictures: PictureSource;

  private constructor(options: WebDatasetOptions, shards: readonly Shard[]) {
    this.#options = options;
    this.#shards = shards;
    this.#pictures = new PictureSource(options);
    this.imageSize = options.imageSize;
    this.#labels = new LabelReader(options.classes);
    if (options.classes !== undefined) this.classes = { names: options.classes };
    this.shardSizes = shards.map(({ samples }) => samples.length);
    this.size = this.shardSizes.reduce((sum, size) => sum + size, 0);
  }

  /** Indexes the shards, or loads their indices. Throws `data_tar_truncated`. */
  static async open(options: WebDatasetOptions, { signal }: Cancellable = {}): Promise<WebDataset> {
    const { shards, cacheDir, imageKeys, captionKeys, labelKeys } = options;
    const samples = new Array<ShardSample[]>(shards.length);
    const pending = shards.keys();
    await Promise.all(
      Array.from({ length: INDEX_CONCURRENCY }, async () => {
        for (const i of pending) {
          const members = await loadTarIndex(shards[i]!.path, cacheDir, { signal, field: shards[i]!.field });
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
    const caption = await this.#caption(shard, sample, name);
    const pixels = await this.#pictures.read(index, name, () => this.#image(shard, sample, name), options);
    const label = options.label === true ? await this.#label(shard, sample, name) : undefined;
    return { pixels, caption, ...(label === undefined ? {} : { label }) };
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
            return await this.#caption(shard, sample, name);
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

  async #image(shard: Shard, sample: ShardSample, name: string): Promise<Buffer> {
    if (sample.image === undefined) throw undecodable(name, 'the shard holds no picture of this sample');
    if (sample.image.bytes > MAX_IMAGE_BYTES) throw undecodable(name, `it has ${sample.image.bytes} bytes`);
    return this.#bytes(shard, sample.image);
  }

  async #label(shard: Shard, sample: ShardSample, name: string): Promise<number | undefined> {
    if (sample.label === undefined) return undefined;
    const { offset, bytes } = sample.label;
    const content = await this.#bytes(shard, { ...sample.label, offset, bytes: Math.min(bytes, MAX_LABEL_BYTES) });
    return this.#labels.parse(content.toString('utf8'), name);
  }

  async #caption(shard: Shard, sample: ShardSample, name: string): Promise<string> {
    if (sample.caption === undefined) throw emptyCaption(name, 'the shard holds no caption of this sample');
    if (sample.caption.bytes > MAX_CAPTION_BYTES)
      throw emptyCaption(name, `its file has ${sample.caption.bytes} bytes`);
    const content = (await this.#bytes(shard, sample.caption)).toString('utf8');
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

  async #bytes(shard: Shard, member: TarMember): Promise<Buffer> {
    const bytes = await this.#files.read(shard.path, member.offset, member.bytes);
    if (bytes.length < member.bytes) throw damaged(shard, member.offset + bytes.length, 'has become shorter');
    return bytes;
  }
}
