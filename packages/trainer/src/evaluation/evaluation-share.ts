import { type Dataset, type EvaluationSamples, loadEvaluation } from '@clipyard/data';
import type { TrainLog } from '../train-log.js';

/** Evaluation samples that a rank reads at once. */
const CHUNK_SAMPLES = 256;
/** Decoded evaluation samples that a rank keeps for the next evaluation, bytes; what is beyond is read again each time. */
const MAX_KEPT_BYTES = 128 << 20;

/** Samples [start, end) of a data set, a rank's share, read in chunks so that memory does not grow with their number. */
export class EvaluationShare {
  readonly #kept = new Map<number, EvaluationSamples>();
  readonly #told = new Set<number>();
  #keptBytes = 0;

  constructor(
    readonly dataset: Dataset,
    private readonly log: TrainLog,
    private readonly range: { readonly start: number; readonly end: number },
  ) {}

  /** Reads ahead of the first evaluation what will be kept, so that data which is no good fails before anything is trained. */
  async preload(check: (chunk: EvaluationSamples) => void, signal?: AbortSignal): Promise<void> {
    const { start, end } = this.range;
    for (let first = start; first < end && this.#keptBytes < MAX_KEPT_BYTES; first += CHUNK_SAMPLES) {
      check(await this.#chunk(first, signal));
    }
  }

  /** The samples in order; the next chunk is read while the caller works on one. */
  async *chunks(signal: AbortSignal): AsyncGenerator<EvaluationSamples> {
    const { start, end } = this.range;
    let next = this.#chunk(start, signal);
    for (let first = start; first < end; first += CHUNK_SAMPLES) {
      const chunk = await next;
      if (first + CHUNK_SAMPLES < end) {
        next = this.#chunk(first + CHUNK_SAMPLES, signal);
        // Whether it failed is asked in the next turn.
        next.catch(() => undefined);
      }
      yield chunk;
    }
  }

  /** The sample at one index, as the chunks have it. */
  async sample(index: number, signal: AbortSignal): Promise<EvaluationSamples> {
    return await loadEvaluation(this.dataset, { offset: index, count: 1, signal });
  }

  async #chunk(first: number, signal?: AbortSignal): Promise<EvaluationSamples> {
    const kept = this.#kept.get(first);
    if (kept !== undefined) return kept;
    const count = Math.max(0, Math.min(CHUNK_SAMPLES, this.range.end - first));
    const chunk = await loadEvaluation(this.dataset, {
      offset: first,
      count,
      signal,
      onBadSample: ({ index, error }) => {
        if (this.#told.has(index)) return;
        this.#told.add(index);
        this.log('warn', `Evaluation sample ${index} is left out: ${error.message}`, { code: error.code });
      },
    });
    // Once one did not fit, none will: what is kept is the beginning.
    this.#keptBytes += chunk.pixels.byteLength;
    if (this.#keptBytes <= MAX_KEPT_BYTES) this.#kept.set(first, chunk);
    return chunk;
  }
}
