import { ClipyardError, type RankToWorker, type WorkerToRank } from '@clipyard/contracts';
import { deferred } from '@clipyard/runtime';

type MessageOf<T extends WorkerToRank['type']> = Extract<WorkerToRank, { type: T }>;

/** A rank's end of the channel to its worker. */
export interface RankChannel {
  send(message: RankToWorker): void;
  /** Calls back with every message of this type, also those that came before. */
  on<T extends WorkerToRank['type']>(type: T, listener: (message: MessageOf<T>) => void): void;
  /** Resolves when everything that was sent has left this process. */
  flush(): Promise<void>;
}

/** The channel that `child_process.fork` gave this process. */
export class ProcessRankChannel implements RankChannel {
  readonly #process: NodeJS.Process;
  readonly #listeners = new Map<string, (message: never) => void>();
  readonly #early: WorkerToRank[] = [];
  #sent: Promise<void> = Promise.resolve();

  /** `onClosed` is called when the worker is gone. */
  constructor(host: NodeJS.Process, onClosed: () => void) {
    this.#process = host;
    host.on('message', (message) => this.#receive(message as WorkerToRank));
    host.once('disconnect', onClosed);
  }

  send(message: RankToWorker): void {
    if (!this.#process.connected) return;
    const { promise, resolve } = deferred();
    // A channel that closes meanwhile is told to `onClosed`; there is nobody left to tell of the message.
    this.#process.send!(message, () => resolve());
    const before = this.#sent;
    this.#sent = promise.then(() => before);
  }

  on<T extends WorkerToRank['type']>(type: T, listener: (message: MessageOf<T>) => void): void {
    this.#listeners.set(type, listener);
    for (const message of this.#early.splice(0)) this.#receive(message);
  }

  async flush(): Promise<void> {
    await this.#sent;
  }

  #receive(message: WorkerToRank): void {
    const listener = this.#listeners.get(message.type);
    if (listener === undefined) this.#early.push(message);
    else listener(message as never);
  }
}

/** The next message of a type. Rejects with the signal's reason. */
export async function nextMessage<T extends WorkerToRank['type']>(
  channel: RankChannel,
  type: T,
  signal?: AbortSignal,
): Promise<MessageOf<T>> {
  const { promise, resolve, reject } = deferred<MessageOf<T>>();
  const onAbort = () => reject(signal!.reason ?? new ClipyardError('cancelled', `No ${type} is awaited any more`));
  signal?.throwIfAborted();
  signal?.addEventListener('abort', onAbort, { once: true });
  channel.on(type, resolve);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
