import { ClipyardError } from '@clipyard/contracts';
import { FRAME_HEADER_BYTES, type FrameHeader, readFrameHeader } from './frame.js';
import type { Inbox, Incoming } from './inbox.js';

/** Cuts the bytes of a connection into frames and puts their payload where it belongs as it arrives. */
export class FrameReader {
  readonly #inbox: Inbox;
  readonly #headerBytes = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #headerTaken = 0;
  /** The header of the frame whose payload is next, once its message has a place. */
  #header: FrameHeader | undefined;
  #message: Incoming | undefined;
  #payloadLeft = 0;
  /** Messages of which frames are missing, by channel. */
  readonly #arriving = new Map<number, Incoming>();
  #stalled: Uint8Array | undefined;

  constructor(inbox: Inbox) {
    this.#inbox = inbox;
  }

  /** Takes a chunk. False: there was no room for all of it; give no more until `resume` returns true. Throws `frame_invalid`. */
  push(chunk: Uint8Array): boolean {
    let rest = chunk;
    for (;;) {
      const header = this.#header ?? this.#parseHeader(rest);
      if (header === undefined) return true;
      if (this.#header === undefined) {
        this.#header = header;
        this.#payloadLeft = header.frameBytes;
        rest = rest.subarray(this.#headerTaken);
      }
      const message = this.#message ?? this.#openMessage(header);
      if (message === undefined) {
        this.#stalled = rest;
        return false;
      }
      rest = this.#takePayload(message, rest);
      if (this.#payloadLeft > 0) return true;
      this.#endFrame(message);
    }
  }

  /** Goes on with what was left over; true when all of it found room. */
  resume(): boolean {
    const rest = this.#stalled;
    if (rest === undefined) return true;
    this.#stalled = undefined;
    return this.push(rest);
  }

  /** The next header, once all of its bytes are there; `#headerTaken` says how many of them `bytes` held. */
  #parseHeader(bytes: Uint8Array): FrameHeader | undefined {
    this.#headerTaken = Math.min(FRAME_HEADER_BYTES - this.#headerFilled, bytes.length);
    this.#headerBytes.set(bytes.subarray(0, this.#headerTaken), this.#headerFilled);
    this.#headerFilled += this.#headerTaken;
    if (this.#headerFilled < FRAME_HEADER_BYTES) return undefined;
    this.#headerFilled = 0;
    return readFrameHeader(this.#headerBytes);
  }

  #openMessage(header: FrameHeader): Incoming | undefined {
    const { channel, frameBytes, messageBytes } = header;
    const message = this.#arriving.get(channel) ?? this.#inbox.begin(channel, messageBytes);
    if (message === undefined) return undefined;
    if (message.length !== messageBytes || message.filled + frameBytes > messageBytes) {
      throw new ClipyardError('frame_invalid', `A frame does not fit its message on channel ${channel}`);
    }
    this.#arriving.set(channel, message);
    this.#message = message;
    return message;
  }

  #takePayload(message: Incoming, bytes: Uint8Array): Uint8Array {
    const taken = Math.min(this.#payloadLeft, bytes.length);
    if (taken > 0) this.#inbox.fill(message, bytes.subarray(0, taken));
    this.#payloadLeft -= taken;
    return bytes.subarray(taken);
  }

  #endFrame(message: Incoming): void {
    if (message.filled === message.length) this.#arriving.delete(message.channel);
    this.#message = undefined;
    this.#header = undefined;
  }
}
