import type { Augmentation, ReadOptions } from '../dataset.js';
import { cropPicture, decodeOrKeep } from './decode.js';
import type { DecodedPicture } from './resample.js';

/** Decoded pictures that a rank keeps for the next time, bytes. */
const DEFAULT_CACHE_BYTES = 128 << 20;

export interface PictureSourceOptions {
  readonly imageSize: number;
  readonly augment: Augmentation;
  /** Seed of the run. */
  readonly augmentSeed: number;
  /** Decoded small pictures that are kept for the next epoch, bytes; default 128 MiB. */
  readonly cacheBytes?: number;
}

/**
 * Decodes the pictures of a data set by index. Small ones are kept, first come first kept, until the cache is full:
 * an epoch reads every picture once, so replacing older ones would only make all of them miss. A kept picture gives
 * the same bytes as one decoded anew.
 */
export class PictureSource {
  readonly #options: PictureSourceOptions;
  readonly #kept = new Map<number, DecodedPicture>();
  readonly #cacheBytes: number;
  #keptBytes = 0;

  constructor(options: PictureSourceOptions) {
    this.#options = options;
    this.#cacheBytes = options.cacheBytes ?? DEFAULT_CACHE_BYTES;
  }

  /** Whether `read` will not call `load`. */
  keeps(index: number): boolean {
    return this.#kept.has(index);
  }

  /** The picture [S, S, 3] of sample `index`; `load` gets its file where needed, `name` is for errors. Throws `image_undecodable`. */
  async read(index: number, name: string, load: () => Promise<Uint8Array>, options: ReadOptions): Promise<Uint8Array> {
    const { imageSize: size, augment, augmentSeed } = this.#options;
    const crops = (options.augment ?? augment) === 'crop';
    const crop = crops ? { seed: augmentSeed, position: options.position ?? index } : undefined;
    const kept = this.#kept.get(index);
    if (kept !== undefined) return cropPicture(kept, { size, crop });
    const bytes = await load();
    options.signal?.throwIfAborted();
    const decoded = await decodeOrKeep(bytes, { size, crop, name });
    if (decoded instanceof Uint8Array) return decoded;
    this.#keep(index, decoded);
    return cropPicture(decoded, { size, crop });
  }

  #keep(index: number, picture: DecodedPicture): void {
    // Two reads of one sample may be under way at once.
    if (this.#kept.has(index) || this.#keptBytes + picture.pixels.length > this.#cacheBytes) return;
    this.#kept.set(index, picture);
    this.#keptBytes += picture.pixels.length;
  }
}
