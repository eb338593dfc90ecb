import assert from 'node:assert';
import { type Cancellable, fieldError } from '@clipyard/contracts';
import { type BadSample, BatchReader, type BatchReaderDeps, type RawRows } from './batch-reader.js';
import { normalizePixels, type PixelStatistics } from './image/normalize.js';

/** Samples that must have been read before their bad share tells of the whole data set. */
const MIN_JUDGED_SAMPLES = 100;

/** A share so far counts as too large when it lies so many standard deviations above the limit. */
const JUDGED_DEVIATIONS = 3;

export interface BatchLoaderDeps extends BatchReaderDeps {
  /** Told of each bad sample when it is first met. */
  onBadSample?(bad: BadSample): void;
}

export interface BatchLoaderOptions extends PixelStatistics {
  /** Samples a step over all ranks, B. */
  readonly globalBatch: number;
  readonly worldSize: number;
  readonly rank: number;
  readonly contextLength: number;
  /** Steps that are read ahead; each holds this rank's pictures as bytes. */
  readonly prefetch: number;
  /** Largest share of bad samples, 0 to 1. */
  readonly maxBadFraction: number;
  readonly seed: number;
  /** Number of steps in all: none beyond is read ahead; default: no end. */
  readonly totalSteps?: number;
}

/** This rank's rows of a global batch, b = B / W of them. */
export interface PixelBatch {
  /** RGB bytes, [b, S, S, 3]; see `normalizePixels`. */
  readonly pixels: Uint8Array;
  /** Token ids, [b, contextLength]. */
  readonly tokens: Int32Array;
  /** Bad samples that this rank has met so far. */
  readonly badSamples: number;
}

export interface Batch extends Omit<PixelBatch, 'pixels'> {
  /** Normalised, [b, S, S, 3]. */
  readonly images: Float32Array;
}

type Outcome = { readonly rows: RawRows } | { readonly error: unknown };

/**
 * Gives rank r its rows of global batch t, the samples at positions [t*B + r*b, t*B + (r+1)*b), and reads the next
 * `prefetch` batches meanwhile, one after another. Pictures are decoded in libuv's threads.
 */
export class BatchLoader {
  readonly #deps: BatchLoaderDeps;
  readonly #options: BatchLoaderOptions;
  readonly #rows: number;
  readonly #reader: BatchReader;
  /** Batches that are read or being read, by step: at most 1 + prefetch. */
  readonly #pending = new Map<number, { readonly outcome: Promise<Outcome>; readonly stop: AbortController }>();
  readonly #reported = new Set<number>();
  /** The end of the newest read: reads follow each other, so the batch that is needed first is read first. */
  #tail: Promise<unknown> = Promise.resolve();
  #samples = 0;
  #badSamples = 0;
  #lastBad = '';
  #closed = false;

  constructor(deps: BatchLoaderDeps, options: BatchLoaderOptions) {
    const { globalBatch, worldSize, rank, contextLength, seed } = options;
    assert(globalBatch % worldSize === 0 && rank < worldSize, 'the global batch divides over the ranks');
    this.#deps = deps;
    this.#options = options;
    this.#rows = globalBatch / worldSize;
    this.#reader = new BatchReader(deps, { rows: this.#rows, contextLength, seed });
  }

  /** The batch of `step` (from 0), normalised. Steps ascend by one, or jump after a resume. Throws `data_too_many_bad_samples`. */
  async load(step: number, options: Cancellable = {}): Promise<Batch> {
    const { pixels, tokens, badSamples } = await this.loadPixels(step, options);
    return { images: normalizePixels(pixels, this.#options), tokens, badSamples };
  }

  /** As `load`, with pictures as bytes: a quarter of the memory, for those who normalise a micro-batch at a time. */
  async loadPixels(step: number, { signal }: Cancellable = {}): Promise<PixelBatch> {
    assert(!this.#closed, 'the loader is open');
    signal?.throwIfAborted();
    const { prefetch, totalSteps = Number.POSITIVE_INFINITY } = this.#options;
    for (const [other, { stop }] of this.#pending) {
      if (other >= step && other <= step + prefetch) continue;
      stop.abort();
      this.#pending.delete(other);
    }
    for (let ahead = step; ahead <= step + prefetch; ahead++)
      if (ahead === step || ahead < totalSteps) this.#start(ahead);

    const outcome = await untilAborted(this.#pending.get(step)!.outcome, signal);
    this.#pending.delete(step);
    if ('error' in outcome) throw outcome.error;
    const { pixels, tokens, bad } = outcome.rows;
    this.#account(bad);
    return { pixels, tokens, badSamples: this.#badSamples };
  }

  /** Stops reading ahead and resolves when nothing reads the data set any more, which stays open. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { stop } of this.#pending.values()) stop.abort();
    this.#pending.clear();
    await this.#tail;
  }

  #start(step: number): void {
    if (this.#pending.has(step)) return;
    const stop = new AbortController();
    const start = step * this.#options.globalBatch + this.#options.rank * this.#rows;
    const outcome = this.#tail
      .then(() => this.#reader.read(start, { signal: stop.signal }))
      .then(
        (rows): Outcome => ({ rows }),
        (error: unknown): Outcome => ({ error }),
      );
    this.#tail = outcome;
    this.#pending.set(step, { outcome, stop });
  }

  #account(bad: readonly BadSample[]): void {
    const { maxBadFraction } = this.#options;
    this.#samples += this.#rows;
    this.#badSamples += bad.length;
    for (const sample of bad) {
      this.#lastBad = sample.error.message;
      if (this.#reported.has(sample.index)) continue;
      this.#reported.add(sample.index);
      this.#deps.onBadSample?.(sample);
    }
    // Known to be too many, or so many of those read so far that the data set has too many in all likelihood.
    const known = this.#reported.size > maxBadFraction * this.#deps.dataset.size;
    const likely = this.#samples >= MIN_JUDGED_SAMPLES && this.#badSamples > mostBad(maxBadFraction, this.#samples);
    if (!known && !likely) return;
    throw fieldError('data_too_many_bad_samples', {
      path: 'data.train.maxBadFraction',
      message: `${this.#badSamples} of the ${this.#samples} samples read so far are unusable, more than ${maxBadFraction} of them; the last: ${this.#lastBad.replace(/\.$/, '')}`,
      value: maxBadFraction,
      remedy: 'Mend the data, or raise the limit.',
    });
  }
}

/**
 * The number of bad samples above which a sample of `n` tells that more than `fraction` of all are bad: the mean of the
 * binomial distribution and three of its standard deviations. The few that a data set may have can come early.
 */
function mostBad(fraction: number, n: number): number {
  return fraction * n + JUDGED_DEVIATIONS * Math.sqrt(fraction * (1 - fraction) * n);
}

/** The promise's value, or the signal's reason as soon as it aborts; the promise never rejects. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let onAbort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
