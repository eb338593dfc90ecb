import assert from 'node:assert';
import { philox } from '@clipyard/tensor';
import type { CaptionOptions, Dataset, ReadOptions, Sample } from './dataset.js';
import { EventLoopTurns } from './event-loop-turns.js';
import { randomKey } from './random-key.js';

/** Words that captions are made of, `word0` to `word999`, and words a caption. */
const WORDS = 1000;
const CAPTION_WORDS = 8;

export interface SyntheticOptions {
  readonly samples: number;
  readonly seed: number;
  readonly imageSize: number;
}

/** Noise with captions of random words, for measuring speed and memory; sample i is the same for the same seed everywhere. */
export class SyntheticDataset implements Dataset {
  readonly size: number;
  readonly imageSize: number;
  readonly #seed: number;

  constructor(options: SyntheticOptions) {
    this.size = options.samples;
    this.imageSize = options.imageSize;
    this.#seed = options.seed;
  }

  async read(index: number, options: ReadOptions = {}): Promise<Sample> {
    options.signal?.throwIfAborted();
    assert(Number.isSafeInteger(index) && index >= 0 && index < this.size, 'the index lies in [0, size)');
    return { pixels: this.#noise(index), caption: this.#caption(index) };
  }

  async *captions(options: CaptionOptions = {}): AsyncIterable<string> {
    const end = Math.min(this.size, options.limit ?? this.size);
    const turns = new EventLoopTurns();
    for (let index = 0; index < end; index++) {
      if (index % 256 === 0) {
        options.signal?.throwIfAborted();
        await turns.maybeYield();
      }
      yield this.#caption(index);
    }
  }

  async close(): Promise<void> {}

  /** The counter gives the seed of a xorshift32 (Marsaglia 2003), which fills a picture at memory speed. */
  #noise(index: number): Uint8Array {
    const key = randomKey(this.#seed, 'syntheticSample', index);
    const bytes = this.imageSize * this.imageSize * 3;
    const words = new Int32Array(Math.ceil(bytes / 4));
    let state = philox(key, [0, 0, 0, 0])[0] | 1;
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    return new Uint8Array(words.buffer, 0, bytes);
  }

  #caption(index: number): string {
    const key = randomKey(this.#seed, 'syntheticSample', index);
    const draws = [...philox(key, [1, 0, 0, 0]), ...philox(key, [2, 0, 0, 0])];
    return draws
      .slice(0, CAPTION_WORDS)
      .map((draw) => `word${draw % WORDS}`)
      .join(' ');
  }
}
