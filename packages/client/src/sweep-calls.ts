import { type Page, type Sweep, type SweepState, sweepSchema, type Trial, trialSchema } from '@clipyard/contracts';
import { newIdempotencyKey } from './idempotency-key.js';
import type { Call, Reader } from './reader.js';

/** The sweeps of the REST API. */
export class SweepCalls {
  readonly #reader: Reader;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** Submits a sweep spec (as written, defaults left out); a repeat with the same key gives the first sweep. */
  submit(spec: unknown, options: Call & { idempotencyKey?: string } = {}): Promise<Sweep> {
    const { idempotencyKey = newIdempotencyKey(), ...call } = options;
    return this.#reader.create(sweepSchema, '/v1/sweeps', spec, { idempotencyKey, ...call });
  }

  /** Newest first. */
  list(query: { state?: SweepState; cursor?: string; limit?: number } = {}, options: Call = {}): Promise<Page<Sweep>> {
    return this.#reader.page(sweepSchema, '/v1/sweeps', query, options);
  }

  get(sweepId: string, options: Call = {}): Promise<Sweep> {
    return this.#reader.get(sweepSchema, path(sweepId), {}, options);
  }

  /** By index. */
  trials(sweepId: string, options: Call = {}): Promise<readonly Trial[]> {
    return this.#reader.items(trialSchema, `${path(sweepId)}/trials`, {}, options);
  }

  /** Not repeated on a failure: the second call would find it done. */
  act(sweepId: string, action: 'pause' | 'resume' | 'cancel', options: Call = {}): Promise<Sweep> {
    return this.#reader.act(sweepSchema, `${path(sweepId)}/${action}`, options);
  }
}

const path = (sweepId: string): string => `/v1/sweeps/${encodeURIComponent(sweepId)}`;
