import assert from 'node:assert';
import type { Augmentation, CaptionOptions, ClassSet, Dataset, ReadOptions, Sample } from '../dataset.js';
import { EventLoopTurns } from '../event-loop-turns.js';
import { type CropBox, randomCropBox } from '../image/crop-box.js';
import { randomUniforms } from '../random-key.js';
import { type Drawing, drawShape } from './draw.js';
import {
  BACKGROUNDS,
  CAPTION_TEMPLATES,
  COLOURS,
  PAIRS,
  type Pair,
  PLACES,
  SHAPE_CLASSES,
  SHAPES,
  SIZES,
} from './vocabulary.js';

export interface ShapesOptions {
  readonly samples: number;
  /** Seed of pictures and captions. */
  readonly seed: number;
  readonly split: 'seen' | 'unseen' | 'all';
  readonly imageSize: number;
  readonly augment: Augmentation;
  /** Seed of the run, for the augmentation. */
  readonly augmentSeed: number;
}

const WHOLE: CropBox = { x: 0, y: 0, width: 1, height: 1 };
/** Share of the room around a shape that its place moves it by, and that it strays from there. */
const PLACE_SHIFT = 0.8;
const PLACE_JITTER = 0.2;
const COLOUR_JITTER = 12;
const LEVEL_JITTER = 12;

/**
 * Drawn pictures of one coloured shape each, with captions from templates. Sample i is the same for the same seed
 * everywhere; pairs take turns, so that every stretch of indices covers them evenly.
 */
export class ShapesDataset implements Dataset {
  readonly size: number;
  readonly imageSize: number;
  readonly classes: ClassSet = SHAPE_CLASSES;
  readonly #options: ShapesOptions;
  readonly #pairs: readonly Pair[];

  constructor(options: ShapesOptions) {
    this.#options = options;
    this.size = options.samples;
    this.imageSize = options.imageSize;
    this.#pairs = options.split === 'all' ? PAIRS : PAIRS.filter(({ group }) => group === options.split);
  }

  async read(index: number, options: ReadOptions = {}): Promise<Sample> {
    options.signal?.throwIfAborted();
    const { pair, drawing, caption } = this.#describe(index);
    const augment = options.augment ?? this.#options.augment;
    const view = augment === 'crop' ? randomCropBox(this.#options.augmentSeed, options.position ?? index, 1, 1) : WHOLE;
    return { pixels: drawShape(drawing, this.imageSize, view), caption, label: pair.index, group: pair.group };
  }

  async *captions(options: CaptionOptions = {}): AsyncIterable<string> {
    const end = Math.min(this.size, options.limit ?? this.size);
    const turns = new EventLoopTurns();
    for (let index = 0; index < end; index++) {
      if (index % 256 === 0) {
        options.signal?.throwIfAborted();
        await turns.maybeYield();
      }
      yield this.#describe(index).caption;
    }
  }

  async close(): Promise<void> {}

  #describe(index: number): { pair: Pair; drawing: Drawing; caption: string } {
    assert(Number.isSafeInteger(index) && index >= 0 && index < this.size, 'the index lies in [0, size)');
    const pair = this.#pairs[index % this.#pairs.length]!;
    const u = randomUniforms(this.#options.seed, 'shapeAttributes', index, 12);
    const size = pick(SIZES, u[0]!);
    const place = pick(PLACES, u[1]!);
    const background = pick(BACKGROUNDS, u[2]!);
    const template = pick(CAPTION_TEMPLATES, u[3]!);
    const side = size.low + (size.high - size.low) * u[4]!;
    const room = (1 - side) / 2;
    const colour = COLOURS[pair.colour]!;
    const shape = SHAPES[pair.shape]!;
    return {
      pair,
      drawing: {
        shape,
        colour: [jitter(colour.rgb[0], u[5]!), jitter(colour.rgb[1], u[6]!), jitter(colour.rgb[2], u[7]!)],
        background: Math.round(clampByte(background.level + LEVEL_JITTER * (2 * u[8]! - 1))),
        centreX: 0.5 + room * (PLACE_SHIFT * place.x + PLACE_JITTER * (2 * u[9]! - 1)),
        centreY: 0.5 + room * (PLACE_SHIFT * place.y + PLACE_JITTER * (2 * u[10]! - 1)),
        side,
      },
      caption: template({
        colour: colour.name,
        shape,
        size: size.name,
        place: place.phrase,
        background: background.name,
      }),
    };
  }
}

const pick = <T>(values: readonly T[], uniform: number): T => values[Math.floor(uniform * values.length)]!;
const clampByte = (value: number): number => Math.min(255, Math.max(0, value));
const jitter = (value: number, uniform: number): number => clampByte(value + COLOUR_JITTER * (2 * uniform - 1));
