import assert from 'node:assert';
import {
  type Cancellable,
  ClipyardError,
  type Group,
  type Link,
  type NumericArray,
  type ReduceOperation,
} from '@clipyard/contracts';
import { withTimeout } from '@clipyard/runtime';
import { allGather, allReduce, barrier, broadcast, type Elements, reduceScatter } from './algorithms.js';
import { Exchange } from './exchange.js';
import { ScratchPool } from './scratch-pool.js';

/** Scratch that a group keeps for the next call, bytes. */
const SCRATCH_BYTES = 32 << 20;
/** The channel on which a rank says that it needs nothing more; calls count up from 0 and never reach it. */
const GOODBYE_CHANNEL = 2 ** 32 - 1;
/** How long a closing group waits for its goodbyes to leave, ms. */
const GOODBYE_LIMIT_MS = 1_000;
/** The longest time that a timer of Node takes. */
const NO_LIMIT_MS = 2 ** 31 - 1;

export interface GroupOptions {
  readonly rank: number;
  readonly worldSize: number;
  /** Limit of each call, after which it fails with `link_timeout`; default: none, whoever watches the step decides. */
  readonly timeoutMs?: number;
}

interface Call {
  readonly operation: string;
  readonly exchange: Exchange;
}

/** A Group over one link to each other rank; it owns the links. */
export function createGroup(links: readonly Link[], options: GroupOptions): LinkGroup {
  return new LinkGroup(links, options);
}

export class LinkGroup implements Group {
  readonly rank: number;
  readonly worldSize: number;
  readonly #links: ReadonlyMap<number, Link>;
  readonly #timeoutMs: number;
  readonly #scratch = new ScratchPool({ keepBytes: SCRATCH_BYTES });
  readonly #calls = new Set<Call>();
  /** Aborted when the group fails or closes, with the error that calls reject with. */
  readonly #ending = new AbortController();
  #nextChannel = 0;
  #sentBytes = 0;
  #closing: Promise<void> | undefined;

  constructor(links: readonly Link[], { rank, worldSize, timeoutMs = NO_LIMIT_MS }: GroupOptions) {
    this.rank = rank;
    this.worldSize = worldSize;
    this.#timeoutMs = timeoutMs;
    this.#links = new Map(links.map((link) => [link.peer, link]));
    const complete = Array.from({ length: worldSize }, (_, peer) => peer === rank || this.#links.has(peer));
    assert(complete.every(Boolean) && links.length === worldSize - 1, 'there is one link to each other rank');
    for (const link of links) void this.#watch(link);
  }

  /** The oldest call that waits, and for whom, for reports of a hang; undefined when none does. */
  get waiting(): string | undefined {
    const [call] = this.#calls;
    if (call === undefined) return undefined;
    const { awaited } = call.exchange;
    return awaited.length === 0 ? call.operation : `${call.operation}, waiting for rank ${awaited.join(', ')}`;
  }

  /** Payload that this rank has sent in calls that are over. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  async allGather<T extends Elements>(input: T, output: T, options?: Cancellable): Promise<void> {
    assert(
      output.length === this.worldSize * input.length && output.constructor === input.constructor,
      `all-gather of ${input.length} elements to ${output.length}: output.length = W * input.length, of the same type`,
    );
    await this.#call(`all-gather of ${input.length}`, options, (exchange) => allGather(exchange, input, output));
  }

  async reduceScatter(input: Float32Array, output: Float32Array, options?: Cancellable): Promise<void> {
    assert(
      input.length === this.worldSize * output.length,
      `reduce-scatter of ${input.length} elements to ${output.length}: input.length = W * output.length`,
    );
    await this.#call(`reduce-scatter to ${output.length}`, options, (exchange) =>
      reduceScatter(exchange, input, output),
    );
  }

  async allReduce(buffer: NumericArray, operation: ReduceOperation, options?: Cancellable): Promise<void> {
    await this.#call(`all-reduce ${operation} of ${buffer.length}`, options, (exchange) =>
      allReduce(exchange, buffer, operation),
    );
  }

  async broadcast(buffer: NumericArray | Uint8Array, root: number, options?: Cancellable): Promise<void> {
    assert(Number.isInteger(root) && root >= 0 && root < this.worldSize, `the root ${root} is a rank`);
    await this.#call(`broadcast of ${buffer.length} from rank ${root}`, options, (exchange) =>
      broadcast(exchange, buffer, root),
    );
  }

  async barrier(options?: Cancellable): Promise<void> {
    await this.#call('barrier', options, barrier);
  }

  /** Closes the links; calls that wait reject with `link_closed`, here and, when there are any, on all ranks. */
  async close(): Promise<void> {
    if (!this.#ending.signal.aborted && this.#calls.size === 0) await this.#sayGoodbye();
    await this.#end(new ClipyardError('link_closed', `The group of rank ${this.rank} is closed`));
  }

  /** Runs one call on a channel of its own, taken now: the order of calls, not of their progress, pairs them over ranks. */
  async #call(
    operation: string,
    options: Cancellable | undefined,
    run: (exchange: Exchange) => Promise<void>,
  ): Promise<void> {
    const channel = this.#nextChannel;
    this.#nextChannel = (channel + 1) % GOODBYE_CHANNEL;
    this.#ending.signal.throwIfAborted();
    options?.signal?.throwIfAborted();
    const timeout = withTimeout(options?.signal, this.#timeoutMs, () => this.#timedOut(call));
    const exchange = new Exchange(
      { links: this.#links, scratch: this.#scratch },
      { rank: this.rank, worldSize: this.worldSize, channel, signal: timeout.signal },
    );
    const call: Call = { operation: `call ${channel}, ${operation}`, exchange };
    this.#calls.add(call);
    try {
      await run(exchange);
    } catch (error) {
      // The other ranks are told by the closing links, and every call of this one ends: the group is of no more use.
      void this.#end(error);
      throw error;
    } finally {
      this.#calls.delete(call);
      this.#sentBytes += exchange.sentBytes;
      timeout.clear();
    }
  }

  /**
   * Ends the group when a link goes down, also for calls that wait for other ranks only: whoever failed will never come
   * to the calls after this one. A rank that has said goodbye has not failed; it was merely done first.
   */
  async #watch(link: Link): Promise<void> {
    const orderly = link.receive(GOODBYE_CHANNEL, new Uint8Array(0)).then(
      () => true,
      () => false,
    );
    const reason = await link.closed;
    if (!(await orderly)) await this.#end(reason);
  }

  async #sayGoodbye(): Promise<void> {
    const signal = AbortSignal.timeout(GOODBYE_LIMIT_MS);
    const nothing = new Uint8Array(0);
    // A link that is down or stuck needs no farewell.
    await Promise.allSettled([...this.#links.values()].map((link) => link.send(GOODBYE_CHANNEL, nothing, { signal })));
  }

  #timedOut(call: Call): ClipyardError {
    const ranks = call.exchange.awaited.join(', ');
    return new ClipyardError(
      'link_timeout',
      `${call.operation}: rank ${ranks} did not answer within ${this.#timeoutMs} ms`,
    );
  }

  #end(error: unknown): Promise<void> {
    this.#ending.abort(
      error instanceof ClipyardError && error.code === 'link_closed'
        ? error
        : new ClipyardError('link_closed', `The group of rank ${this.rank} has failed`, { cause: error }),
    );
    this.#closing ??= Promise.all([...this.#links.values()].map((link) => link.close())).then(() => {});
    return this.#closing;
  }
}
