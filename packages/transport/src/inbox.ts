import { ClipyardError, LIMITS } from '@clipyard/contracts';

/** A `receive` that waits. */
interface Waiter {
  readonly into: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A message whose bytes are arriving, or which has arrived and waits to be claimed. */
export interface Incoming {
  readonly channel: number;
  readonly length: number;
  filled: number;
  /** Where the bytes go: the caller's buffer, or ours until somebody asks; undefined: nowhere, its receiver gave up. */
  target: Uint8Array | undefined;
  waiter: Waiter | undefined;
}

interface Channel {
  readonly waiters: Waiter[];
  readonly unclaimed: Incoming[];
}

export interface InboxOptions {
  /** Bytes of messages that nobody has asked for yet; default `LIMITS.linkUnclaimedBytes`. */
  readonly unclaimedBytes?: number;
  /** Called when `begin` may succeed where it did not before. */
  readonly onRoom: () => void;
  /** Called when a receiver expects another length than the sender sent: the two ends no longer agree. */
  readonly onMismatch: (error: ClipyardError) => void;
}

/** Brings the messages of a link and those who ask for them together, channel by channel, without copying twice. */
export class Inbox {
  readonly #channels = new Map<number, Channel>();
  readonly #claimedArriving = new Set<Incoming>();
  readonly #options: InboxOptions;
  readonly #limitBytes: number;
  #unclaimedBytes = 0;
  #failure: Error | undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#limitBytes = options.unclaimedBytes ?? LIMITS.linkUnclaimedBytes;
  }

  /** Fills `into` with the next message of the channel. */
  receive(channel: number, into: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const message = this.#channels.get(channel)?.unclaimed[0];
    if (message === undefined && this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#giveUp(channel, waiter);
        reject(signal!.reason);
      };
      const stopListening = () => signal?.removeEventListener('abort', onAbort);
      const waiter: Waiter = {
        into,
        resolve: () => {
          stopListening();
          resolve();
        },
        reject: (error) => {
          stopListening();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      if (message === undefined) this.#channel(channel).waiters.push(waiter);
      else this.#claim(message, waiter);
      this.#options.onRoom();
    });
  }

  /** Makes place for the next message of the channel; undefined when there is none until `onRoom`. */
  begin(channel: number, length: number): Incoming | undefined {
    const message: Incoming = { channel, length, filled: 0, target: undefined, waiter: undefined };
    const waiter = this.#channels.get(channel)?.waiters.shift();
    if (waiter !== undefined) {
      this.#forgetIfEmpty(channel);
      this.#attach(message, waiter);
    } else {
      if (this.#unclaimedBytes + length > this.#limitBytes) return undefined;
      message.target = new Uint8Array(length);
      this.#unclaimedBytes += length;
      this.#channel(channel).unclaimed.push(message);
    }
    return message;
  }

  /** Appends bytes to a message, at most what it lacks. */
  fill(message: Incoming, bytes: Uint8Array): void {
    message.target?.set(bytes, message.filled);
    message.filled += bytes.length;
    this.#resolveIfComplete(message);
  }

  /** No more will arrive: rejects everybody who waits; messages that are complete can still be claimed. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const message of this.#claimedArriving) message.waiter?.reject(error);
    this.#claimedArriving.clear();
    for (const [number, channel] of this.#channels) {
      for (const waiter of channel.waiters.splice(0)) waiter.reject(error);
      const last = channel.unclaimed.at(-1);
      if (last !== undefined && last.filled < last.length) channel.unclaimed.pop();
      this.#forgetIfEmpty(number);
    }
  }

  /** Drops what nobody claimed. */
  clear(): void {
    this.#channels.clear();
    this.#unclaimedBytes = 0;
  }

  #claim(message: Incoming, waiter: Waiter): void {
    this.#channels.get(message.channel)!.unclaimed.shift();
    this.#forgetIfEmpty(message.channel);
    this.#unclaimedBytes -= message.length;
    const arrived = message.target!.subarray(0, message.filled);
    if (this.#attach(message, waiter)) waiter.into.set(arrived);
    this.#resolveIfComplete(message);
  }

  #attach(message: Incoming, waiter: Waiter): boolean {
    if (waiter.into.length !== message.length) {
      const error = new ClipyardError(
        'frame_invalid',
        `A message of ${waiter.into.length} bytes is expected on channel ${message.channel}, one of ${message.length} came`,
      );
      message.target = undefined;
      waiter.reject(error);
      this.#options.onMismatch(error);
      return false;
    }
    message.target = waiter.into;
    message.waiter = waiter;
    this.#claimedArriving.add(message);
    if (message.length === 0) this.#resolveIfComplete(message);
    return true;
  }

  #resolveIfComplete(message: Incoming): void {
    if (message.filled < message.length || message.waiter === undefined) return;
    this.#claimedArriving.delete(message);
    message.waiter.resolve();
    message.waiter = undefined;
  }

  #giveUp(channel: number, waiter: Waiter): void {
    const waiters = this.#channels.get(channel)?.waiters;
    const index = waiters?.indexOf(waiter) ?? -1;
    if (index >= 0) waiters!.splice(index, 1);
    this.#forgetIfEmpty(channel);
    for (const message of this.#claimedArriving) {
      if (message.waiter !== waiter) continue;
      message.waiter = undefined;
      message.target = undefined;
      this.#claimedArriving.delete(message);
    }
  }

  #channel(number: number): Channel {
    let channel = this.#channels.get(number);
    if (channel === undefined) this.#channels.set(number, (channel = { waiters: [], unclaimed: [] }));
    return channel;
  }

  #forgetIfEmpty(number: number): void {
    const channel = this.#channels.get(number);
    if (channel?.waiters.length === 0 && channel.unclaimed.length === 0) this.#channels.delete(number);
  }
}
