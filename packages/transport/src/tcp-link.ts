import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type Cancellable, ClipyardError, LIMITS, type Link } from '@clipyard/contracts';
import { FrameReader } from './frame-reader.js';
import { FrameWriter } from './frame-writer.js';
import { Inbox } from './inbox.js';

/** Idle time before the kernel probes a silent peer; ten probes a second apart follow. */
const KEEP_ALIVE_MS = 5_000;
/** How long a closing link waits for the other end to close too. */
const CLOSE_LIMIT_MS = 1_000;

export interface TcpLinkOptions {
  readonly peer: number;
  /** Default `LIMITS.linkUnclaimedBytes`. */
  readonly unclaimedBytes?: number;
  /** Default `LIMITS.frameBytes`. */
  readonly frameBytes?: number;
}

/** A link over a connected socket, which it owns from now on. */
export class TcpLink implements Link {
  readonly peer: number;
  readonly closed: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #inbox: Inbox;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  #resolveClosed: (reason: Error | undefined) => void = () => {};
  #down = false;
  #closing: Promise<void> | undefined;

  constructor(socket: Socket, { peer, unclaimedBytes, frameBytes = LIMITS.frameBytes }: TcpLinkOptions) {
    this.peer = peer;
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#inbox = new Inbox({
      unclaimedBytes,
      onRoom: () => this.#resume(),
      onMismatch: (error) => this.#shut(error, true),
    });
    this.#reader = new FrameReader(this.#inbox);
    this.#writer = new FrameWriter(socket, frameBytes, (cause) =>
      this.#shut(new ClipyardError('link_closed', `A message to rank ${peer} was given up half sent`, { cause }), true),
    );
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('data', this.#onData);
    socket.on('end', () => this.#shut(new ClipyardError('link_closed', `Rank ${peer} closed the connection`), false));
    socket.on('error', (cause) => this.#shut(this.#lost(cause), true));
    socket.resume();
    socket.on('close', () => this.#shut(this.#lost(undefined), true));
    // A connection that ended between the handshake and now emits nothing any more.
    if (socket.destroyed) this.#shut(this.#lost(undefined), true);
  }

  async send(channel: number, payload: Uint8Array, { signal }: Cancellable = {}): Promise<void> {
    if (payload.length > LIMITS.messageBytes) {
      throw new ClipyardError('frame_invalid', `A message of ${payload.length} bytes is larger than a link carries`);
    }
    await this.#writer.send(channel, payload, signal);
  }

  async receive(channel: number, into: Uint8Array, { signal }: Cancellable = {}): Promise<void> {
    await this.#inbox.receive(channel, into, signal);
  }

  /** Writes out what was accepted, then closes; waits at most a second for the other end. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#shut(undefined, false);
    this.#inbox.clear();
    if (this.#socket.destroyed) return;
    // Reading on until the other end closes: data left unread would make the kernel send a reset, and a reset takes
    // from the peer what it has not read yet.
    this.#socket.off('data', this.#onData);
    this.#socket.resume();
    this.#socket.end();
    const limit = setTimeout(() => this.#socket.destroy(), CLOSE_LIMIT_MS);
    await once(this.#socket, 'close').finally(() => clearTimeout(limit));
  }

  readonly #onData = (chunk: Uint8Array): void => this.#guard(() => this.#reader.push(chunk));

  #resume(): void {
    if (!this.#down) this.#guard(() => this.#reader.resume());
  }

  /** Runs the reader and lets the connection flow while there is room. */
  #guard(read: () => boolean): void {
    try {
      if (!read()) this.#socket.pause();
      else if (this.#socket.isPaused()) this.#socket.resume();
    } catch (error) {
      this.#shut(ClipyardError.from(error, 'frame_invalid'), true);
    }
  }

  #lost(cause: unknown): ClipyardError {
    return new ClipyardError('link_closed', `The connection to rank ${this.peer} was lost`, { cause });
  }

  #shut(reason: ClipyardError | undefined, destroy: boolean): void {
    if (!this.#down) {
      this.#down = true;
      const error =
        reason?.code === 'link_closed'
          ? reason
          : new ClipyardError('link_closed', `The link to rank ${this.peer} is closed`, { cause: reason });
      this.#writer.fail(error);
      this.#inbox.fail(error);
      this.#resolveClosed(reason);
    }
    if (destroy) this.#socket.destroy();
  }
}
