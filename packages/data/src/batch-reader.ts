import assert from 'node:assert';
import { setMaxListeners } from 'node:events';
import { type Cancellable, ClipyardError } from '@clipyard/contracts';
import { type Dataset, isBadSample, type Sample } from './dataset.js';
import { EventLoopTurns } from './event-loop-turns.js';
import { randomUniforms } from './random-key.js';
import type { Sampler } from './sampler.js';

/** Samples of a batch that are read and decoded at once. */
const READ_CONCURRENCY = 16;
/** Samples tried in place of a bad one. */
const MAX_REPLACEMENTS = 32;

export interface BatchReaderDeps {
  readonly dataset: Dataset;
  readonly sampler: Sampler;
  /** A caption's token ids, [contextLength]. */
  tokenize(caption: string): Int32Array;
}

export interface BatchReaderOptions {
  /** Number of positions to read, from each start. */
  readonly rows: number;
  readonly contextLength: number;
  readonly seed: number;
}

/** A sample that could not be used, and where it stood. */
export interface BadSample {
  readonly position: number;
  readonly index: number;
  readonly error: ClipyardError;
}

/** Rows of a batch before they are normalised. */
export interface RawRows {
  /** RGB bytes, [rows, S, S, 3]. */
  readonly pixels: Uint8Array;
  /** [rows, contextLength]. */
  readonly tokens: Int32Array;
  /** In the order of positions. */
  readonly bad: readonly BadSample[];
}

/**
 * Reads the samples at consecutive positions. A bad sample is replaced by another one, which (seed, position) chooses:
 * the same whatever the world size.
 */
export class BatchReader {
  readonly #deps: BatchReaderDeps;
  readonly #options: BatchReaderOptions;

  constructor(deps: BatchReaderDeps, options: BatchReaderOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** The rows at positions [start, start + rows). Throws `data_too_many_bad_samples` where no replacement is usable. */
  async read(start: number, { signal }: Cancellable = {}): Promise<RawRows> {
    const { rows, contextLength } = this.#options;
    const pictureBytes = this.#deps.dataset.imageSize ** 2 * 3;
    const pixels = new Uint8Array(rows * pictureBytes);
    const tokens = new Int32Array(rows * contextLength);
    const bad: BadSample[] = [];
    const turns = new EventLoopTurns();
    const failed = new AbortController();
    const stop = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
    const pending = new Array(rows).keys();
    // Every read may listen, so more than Node's warning allows do so at once.
    setMaxListeners(2 * READ_CONCURRENCY, stop);
    const readRows = async () => {
      for (const row of pending) {
        stop.throwIfAborted();
        const sample = await this.#sampleAt(start + row, bad, stop);
        const ids = this.#deps.tokenize(sample.caption);
        assert(
          sample.pixels.length === pictureBytes && ids.length === contextLength,
          'samples have the shape of the batch',
        );
        pixels.set(sample.pixels, row * pictureBytes);
        tokens.set(ids, row * contextLength);
        await turns.maybeYield();
      }
    };
    const readers = Array.from({ length: Math.min(READ_CONCURRENCY, rows) }, async () => {
      try {
        await readRows();
      } catch (error) {
        // The other readers stop too; the first error is the one that counts.
        failed.abort(error);
        throw error;
      }
    });
    const ends = await Promise.allSettled(readers);
    signal?.throwIfAborted();
    if (ends.some(({ status }) => status === 'rejected')) throw failed.signal.reason;
    bad.sort((a, b) => a.position - b.position);
    return { pixels, tokens, bad };
  }

  async #sampleAt(position: number, bad: BadSample[], signal: AbortSignal): Promise<Sample> {
    const index = this.#deps.sampler.indexAt(position);
    const first = await this.#try(index, position, signal);
    if (!(first instanceof ClipyardError)) return first;
    bad.push({ position, index, error: first });
    const draws = randomUniforms(this.#options.seed, 'replacement', position, MAX_REPLACEMENTS);
    for (const draw of draws) {
      const replacement = await this.#try(Math.floor(draw * this.#deps.dataset.size), position, signal);
      if (!(replacement instanceof ClipyardError)) return replacement;
    }
    throw new ClipyardError(
      'data_too_many_bad_samples',
      `${MAX_REPLACEMENTS} samples in a row are unusable; the last: ${first.message} Mend the data.`,
      { cause: first, fields: first.fields },
    );
  }

  /** The sample, or what is wrong with it; throws for errors that concern more than this sample. */
  async #try(index: number, position: number, signal: AbortSignal): Promise<Sample | ClipyardError> {
    try {
      return await this.#deps.dataset.read(index, { signal, position });
    } catch (error) {
      if (error instanceof ClipyardError && isBadSample(error)) return error;
      throw error;
    }
  }
}
