import type { Link } from '@clipyard/contracts';
import type { ScratchPool } from './scratch-pool.js';

/** One call of a collective: who takes part, on which channel, and whom it still waits for. */
export class Exchange {
  readonly rank: number;
  readonly worldSize: number;
  readonly peers: readonly number[];
  readonly scratch: ScratchPool;
  readonly #links: ReadonlyMap<number, Link>;
  readonly #channel: number;
  readonly #signal: AbortSignal;
  readonly #awaited = new Map<number, number>();
  /** Payload that was handed to the links. */
  sentBytes = 0;

  constructor(
    deps: { links: ReadonlyMap<number, Link>; scratch: ScratchPool },
    options: { rank: number; worldSize: number; channel: number; signal: AbortSignal },
  ) {
    this.#links = deps.links;
    this.scratch = deps.scratch;
    this.rank = options.rank;
    this.worldSize = options.worldSize;
    this.#channel = options.channel;
    this.#signal = options.signal;
    this.peers = [...this.#links.keys()];
  }

  /** Ranks from which something is expected that has not come. */
  get awaited(): number[] {
    return [...this.#awaited.keys()].sort((a, b) => a - b);
  }

  async send(peer: number, payload: ArrayBufferView): Promise<void> {
    this.sentBytes += payload.byteLength;
    await this.#links.get(peer)!.send(this.#channel, bytesOf(payload), { signal: this.#signal });
  }

  async receive(peer: number, into: ArrayBufferView): Promise<void> {
    this.#awaited.set(peer, (this.#awaited.get(peer) ?? 0) + 1);
    await this.#links.get(peer)!.receive(this.#channel, bytesOf(into), { signal: this.#signal });
    const left = this.#awaited.get(peer)! - 1;
    if (left === 0) this.#awaited.delete(peer);
    else this.#awaited.set(peer, left);
  }
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
