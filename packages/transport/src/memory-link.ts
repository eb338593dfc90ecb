import { type Cancellable, ClipyardError, type Link } from '@clipyard/contracts';
import { Inbox } from './inbox.js';

interface Delivery {
  readonly channel: number;
  readonly payload: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A link of which both ends live in this process: of rank `ranks[0]` to `ranks[1]`, and back. */
export function memoryLinkPair(ranks: readonly [number, number] = [0, 1]): [Link, Link] {
  const a = new MemoryLink(ranks[1]);
  const b = new MemoryLink(ranks[0]);
  a.join(b);
  b.join(a);
  return [a, b];
}

class MemoryLink implements Link {
  readonly peer: number;
  readonly closed: Promise<Error | undefined>;
  readonly #inbox: Inbox;
  #other: MemoryLink | undefined;
  #resolveClosed: (reason: Error | undefined) => void = () => {};
  /** What the other end has sent and there was no room for. */
  readonly #stalled: Delivery[] = [];
  #down: Error | undefined;

  constructor(peer: number) {
    this.peer = peer;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#inbox = new Inbox({ onRoom: () => this.#deliverStalled(), onMismatch: (error) => this.#fail(error) });
  }

  join(other: MemoryLink): void {
    this.#other = other;
  }

  async send(channel: number, payload: Uint8Array, { signal }: Cancellable = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.#down !== undefined) throw this.#down;
    await this.#other!.#accept(channel, payload, signal);
  }

  async receive(channel: number, into: Uint8Array, { signal }: Cancellable = {}): Promise<void> {
    await this.#inbox.receive(channel, into, signal);
  }

  async close(): Promise<void> {
    this.#shut(undefined);
    this.#inbox.clear();
    this.#other!.#shut(new ClipyardError('link_closed', `Rank ${this.#other!.peer} closed its link`));
  }

  #fail(error: ClipyardError): void {
    this.#shut(error);
    this.#other!.#shut(error);
  }

  #shut(reason: ClipyardError | undefined): void {
    if (this.#down !== undefined) return;
    this.#down =
      reason?.code === 'link_closed'
        ? reason
        : new ClipyardError('link_closed', `The link to rank ${this.peer} is closed`, { cause: reason });
    for (const { reject } of this.#stalled.splice(0)) reject(this.#down);
    this.#inbox.fail(this.#down);
    this.#resolveClosed(reason);
  }

  #accept(channel: number, payload: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        const index = this.#stalled.indexOf(delivery);
        if (index >= 0) this.#stalled.splice(index, 1);
        reject(signal!.reason);
      };
      const settle = (action: () => void) => {
        signal?.removeEventListener('abort', onAbort);
        action();
      };
      const delivery: Delivery = {
        channel,
        payload,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#stalled.push(delivery);
      this.#deliverStalled();
    });
  }

  #deliverStalled(): void {
    for (let next = this.#stalled[0]; next !== undefined; next = this.#stalled[0]) {
      const message = this.#inbox.begin(next.channel, next.payload.length);
      if (message === undefined || this.#down !== undefined) return;
      this.#stalled.shift();
      this.#inbox.fill(message, next.payload);
      next.resolve();
    }
  }
}
