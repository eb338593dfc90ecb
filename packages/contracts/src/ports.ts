/** Ports: interfaces that several packages implement. Each has one conformance suite in testkit. */

export interface Cancellable {
  /** Aborting it rejects the call with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * A reliable, ordered, bidirectional connection between two ranks. A message is sent on a channel and received on the
 * same channel in the order of sending; channels are independent, so collectives that overlap do not wait for each other.
 */
export interface Link {
  /** The rank at the other end. */
  readonly peer: number;
  /** Resolves when the bytes are handed to the wire and `payload` may be reused. Throws `link_closed`. */
  send(channel: number, payload: Uint8Array, options?: Cancellable): Promise<void>;
  /**
   * Fills `into` with the next message of `channel`. The lengths must agree, else `frame_invalid`.
   * Throws `link_closed` when the other end goes away.
   */
  receive(channel: number, into: Uint8Array, options?: Cancellable): Promise<void>;
  /** Resolves when the link is down, with the reason; never rejects. */
  readonly closed: Promise<Error | undefined>;
  close(): Promise<void>;
}

export type NumericArray = Float32Array | Float64Array | Int32Array;
export type ReduceOperation = 'sum' | 'max' | 'min';

/**
 * Collective operations over the ranks of one attempt. Every rank calls the same operations in the same order; calls
 * may overlap. Reductions add in the order of ranks, so a result is bitwise the same on every rank and on every rerun.
 * Errors: `link_closed`, `link_timeout`, or the signal's reason; after an error the group is unusable.
 */
export interface Group {
  readonly rank: number;
  readonly worldSize: number;
  /** `output` = the inputs of ranks 0..W-1, one after another; `output.length = W * input.length`, the same on every rank. */
  allGather<T extends NumericArray | Uint8Array | Uint16Array>(
    input: T,
    output: T,
    options?: Cancellable,
  ): Promise<void>;
  /** `output` = slice `rank` of the sum of all inputs; `input.length = W * output.length`. */
  reduceScatter(input: Float32Array, output: Float32Array, options?: Cancellable): Promise<void>;
  /** Combines `buffer` over all ranks, in place. */
  allReduce(buffer: NumericArray, operation: ReduceOperation, options?: Cancellable): Promise<void>;
  /** Copies `buffer` of rank `root` to all ranks, in place. */
  broadcast(buffer: NumericArray | Uint8Array, root: number, options?: Cancellable): Promise<void>;
  barrier(options?: Cancellable): Promise<void>;
  close(): Promise<void>;
}

export interface BlobInfo {
  readonly key: string;
  readonly bytes: number;
}

export interface BlobStat extends BlobInfo {
  /** Changes when the blob is replaced. */
  readonly version: string;
}

/**
 * Where checkpoints and data sets lie. Keys are relative, `/`-separated, without `.` or `..` segments. Every call may
 * throw `storage_failed`, `storage_unreachable` or `storage_denied`.
 */
export interface BlobStore {
  /** The URL of the store's root, for people. */
  readonly url: string;
  /** Durable (flushed to disk) and atomic: on return the whole blob is there; after a failure nothing of it is. Throws `disk_full`. */
  put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options?: Cancellable,
  ): Promise<{ bytes: number; sha256: string }>;
  /** The whole blob, or bytes `start` to `end` (exclusive). Throws `not_found`. */
  read(key: string, options?: Cancellable & { start?: number; end?: number }): Promise<Uint8Array>;
  /** Throws `not_found`. */
  stat(key: string, options?: Cancellable): Promise<BlobStat>;
  /** All blobs whose key begins with `prefix`, ordered by the UTF-8 bytes of their keys. */
  list(prefix: string, options?: Cancellable): AsyncIterable<BlobInfo>;
  /** Removes every blob whose key begins with `prefix`; a missing one is not an error. */
  delete(prefix: string, options?: Cancellable): Promise<void>;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  sleep(ms: number, options?: Cancellable): Promise<void>;
}
