import type { Cancellable, ClipyardError } from '@clipyard/contracts';

/** Whether a colour-shape pair, or a class in general, was shown in training. */
export type SampleGroup = 'seen' | 'unseen';

export interface Sample {
  /** RGB, row-major [S, S, 3], 8 bits a value; owned by the caller. */
  readonly pixels: Uint8Array;
  readonly caption: string;
  /** Index of its class, into `Dataset.classes.names` where the data set names its classes; see `ReadOptions.label`. */
  readonly label?: number;
  readonly group?: SampleGroup;
}

/** The classes of a data set, for zero-shot classification. */
export interface ClassSet {
  readonly names: readonly string[];
  /** Prompts with `{}` in place of the class name. */
  readonly templates?: readonly string[];
}

/** The random resized crop of a picture: its area as a share of the whole is drawn from [minArea, 1]. */
export type Augmentation = 'none' | 'crop';

export interface ReadOptions extends Cancellable {
  /** Position in the order of training, which keys the augmentation; default: the index. */
  readonly position?: number;
  /** Default: that of the data set. */
  readonly augment?: Augmentation;
  /** Give the class too, where that costs a read of its own; default false. */
  readonly label?: boolean;
}

export interface CaptionOptions extends Cancellable {
  /** At most this many, from index 0 on; default: all. */
  readonly limit?: number;
}

/** Samples by index, readable in any order and many at once. */
export interface Dataset {
  readonly size: number;
  /** Side S of the square pictures, pixels. */
  readonly imageSize: number;
  /** Samples in each shard, in the order of indices; unset when reading is equally fast in any order. */
  readonly shardSizes?: readonly number[];
  readonly classes?: ClassSet;
  /** The sample at `index` in [0, size). Throws `image_undecodable` or `caption_empty` for a bad sample, `data_label_invalid` for a class that is none. */
  read(index: number, options?: ReadOptions): Promise<Sample>;
  /** The captions in the order of indices, without touching pictures; those of bad samples are left out. */
  captions(options?: CaptionOptions): AsyncIterable<string>;
  close(): Promise<void>;
}

/** Whether an error concerns one sample, which can be counted and skipped, and not the data set as a whole. */
export const isBadSample = (error: ClipyardError): boolean =>
  error.code === 'image_undecodable' || error.code === 'caption_empty';
