import type { Writable } from 'node:stream';
import { FRAME_HEADER_BYTES, writeFrameHeader } from './frame.js';

/** Payloads up to this many bytes are copied behind their header: one small write costs less than two. */
const COALESCE_BYTES = 4096;
/** Bytes handed to the socket and not yet written at which we wait, so that channels share the connection evenly. */
const WINDOW_BYTES = 2 << 20;

interface Outgoing {
  readonly channel: number;
  readonly payload: Uint8Array;
  sent: number;
  begun: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Cuts messages into frames and writes them, one frame of each channel in turn. */
export class FrameWriter {
  readonly #socket: Writable;
  readonly #frameBytes: number;
  readonly #onBroken: (cause: unknown) => void;
  readonly #queues = new Map<number, Outgoing[]>();
  /** Channels that have something to send, in the order of their turns. */
  readonly #turns: number[] = [];
  readonly #open = new Set<Outgoing>();
  #inFlightBytes = 0;
  #failure: Error | undefined;

  /** `onBroken` is called when a message is given up of which some frames have left: the connection is useless then. */
  constructor(socket: Writable, frameBytes: number, onBroken: (cause: unknown) => void) {
    this.#socket = socket;
    this.#frameBytes = frameBytes;
    this.#onBroken = onBroken;
  }

  send(channel: number, payload: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#giveUp(message, signal!.reason);
      const settle = (action: () => void) => {
        signal?.removeEventListener('abort', onAbort);
        this.#open.delete(message);
        action();
      };
      const message: Outgoing = {
        channel,
        payload,
        sent: 0,
        begun: false,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#open.add(message);
      const queue = this.#queues.get(channel);
      if (queue === undefined) {
        this.#queues.set(channel, [message]);
        this.#turns.push(channel);
      } else {
        queue.push(message);
      }
      this.#pump();
    });
  }

  /** Rejects what waits and everything to come. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#queues.clear();
    this.#turns.length = 0;
    for (const message of [...this.#open]) message.reject(error);
  }

  #pump(): void {
    while (this.#inFlightBytes < WINDOW_BYTES && this.#turns.length > 0) {
      const channel = this.#turns.shift()!;
      const queue = this.#queues.get(channel)!;
      const message = queue[0]!;
      const last = this.#writeFrame(message);
      if (last) queue.shift();
      if (queue.length > 0) this.#turns.push(channel);
      else this.#queues.delete(channel);
    }
  }

  /** Writes the next frame of the message; true when it is the last one. */
  #writeFrame(message: Outgoing): boolean {
    const { channel, payload, sent } = message;
    const frame = payload.subarray(sent, Math.min(sent + this.#frameBytes, payload.length));
    const last = sent + frame.length === payload.length;
    message.sent += frame.length;
    message.begun = true;
    const header = { channel, frameBytes: frame.length, messageBytes: payload.length };
    const bytes = FRAME_HEADER_BYTES + frame.length;
    this.#inFlightBytes += bytes;
    const onWritten = (error?: Error | null) => {
      this.#inFlightBytes -= bytes;
      if (error) return;
      if (last) message.resolve();
      this.#pump();
    };
    if (frame.length <= COALESCE_BYTES) {
      const whole = Buffer.allocUnsafe(bytes);
      writeFrameHeader(whole, header);
      whole.set(frame, FRAME_HEADER_BYTES);
      this.#socket.write(whole, onWritten);
    } else {
      const start = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
      writeFrameHeader(start, header);
      this.#socket.cork();
      this.#socket.write(start);
      this.#socket.write(frame, onWritten);
      this.#socket.uncork();
    }
    return last;
  }

  #giveUp(message: Outgoing, reason: unknown): void {
    message.reject(reason);
    if (message.begun) {
      this.#onBroken(reason);
      return;
    }
    const queue = this.#queues.get(message.channel);
    if (queue === undefined) return;
    queue.splice(queue.indexOf(message), 1);
    if (queue.length > 0) return;
    this.#queues.delete(message.channel);
    this.#turns.splice(this.#turns.indexOf(message.channel), 1);
  }
}
