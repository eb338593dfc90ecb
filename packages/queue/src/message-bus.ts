import { ClipyardError } from '@clipyard/contracts';
import { abortable, withTimeout } from '@clipyard/runtime';
import type { Job, Queue } from 'bullmq';
import { type BackendChoice, chooseBackend, type QueueBackend } from './backend.js';

/** A queue by name, with the type of its messages. */
export interface QueueRef<T> {
  readonly name: string;
  /** Never set: carries the type. */
  readonly payload?: T;
}

/** Wakes the scheduler; of checkpoints that are tracked no more it also removes the files. */
export type SchedulerMessage =
  | {
      readonly type: 'job.submitted' | 'attempt.ended' | 'sweep.changed';
      /** Of the job, or of the sweep. */
      readonly id: string;
    }
  | { readonly type: 'checkpoints.dropped'; readonly id: string; readonly prefixes: readonly string[] };

export const schedulerQueue: QueueRef<SchedulerMessage> = { name: 'scheduler' };

/** A message to a webhook is due for this attempt, from 1. */
export interface WebhookMessage {
  readonly deliveryId: string;
  readonly attempt: number;
}

export const webhookQueue: QueueRef<WebhookMessage> = { name: 'webhooks' };

/** The queue of one node. */
export function nodeQueue<T>(nodeId: string): QueueRef<T> {
  return { name: `node-${nodeId}` };
}

/** The id of a message about an attempt, by which it is published once; BullMQ forbids `:` in it. */
export function messageKey(jobId: string, epoch: number, action: string): string {
  return `${jobId}_${epoch}_${action}`;
}

export interface Subscription {
  /** Takes no more messages, and resolves when the one being handled is done. */
  close(): Promise<void>;
}

export interface MessageBusDeps {
  /** Told of connection errors and of messages that were given up; the bus itself reconnects and goes on. */
  readonly onError: (error: Error, queue: string) => void;
}

/** Tries of a message before it is given up: about four hours with delays that double from 100 ms to 5 s. */
const TRIES = 3000;
/** Time for the store of the queues to answer one call, ms. */
const CALL_TIMEOUT_MS = 5000;
const FIRST_DELAY_MS = 100;
/** Longest wait before a message is tried again, ms. */
const MAX_DELAY_MS = 5000;
/** Handled messages are remembered so that one that is published twice is handled once. */
const KEEP_HANDLED = { age: 3600, count: 1000 };
const KEEP_GIVEN_UP = { age: 7 * 24 * 3600, count: 1000 };

/** Carries short messages between processes by BullMQ: at least once, so handlers are idempotent. */
export class MessageBus {
  readonly #backend: QueueBackend;
  readonly #onError: MessageBusDeps['onError'];
  readonly #queues = new Map<string, Queue>();
  readonly #subscriptions = new Set<Subscription>();
  #closing: Promise<void> | undefined;

  private constructor(deps: MessageBusDeps, backend: QueueBackend) {
    this.#onError = deps.onError;
    this.#backend = backend;
  }

  /** On Redis when `redisUrl` is given, else on Postgres, whose schema `bullmq` it makes. Throws `database_unavailable`. */
  static async open(deps: MessageBusDeps, options: BackendChoice): Promise<MessageBus> {
    return new MessageBus(deps, await chooseBackend(options));
  }

  get kind(): 'redis' | 'postgres' {
    return this.#backend.kind;
  }

  /** Resolves when the message is stored. One with a key that the queue still knows is not stored again. Throws `database_unavailable`. */
  async publish<T>(queue: QueueRef<T>, key: string, payload: T, { delayMs = 0 } = {}): Promise<void> {
    const options = {
      jobId: key,
      ...(delayMs > 0 ? { delay: delayMs } : {}),
      attempts: TRIES,
      backoff: { type: 'capped' },
      removeOnComplete: KEEP_HANDLED,
      removeOnFail: KEEP_GIVEN_UP,
    };
    await this.#limited(this.#queue(queue.name).add('message', payload, options));
  }

  /** Calls `handle` with each message, one at a time unless told otherwise; when it throws the message comes again later. */
  async consume<T>(
    queue: QueueRef<T>,
    handle: (payload: T) => Promise<void>,
    { concurrency = 1 }: { readonly concurrency?: number } = {},
  ): Promise<Subscription> {
    const process = async (job: Job): Promise<void> => {
      await handle(job.data as T);
    };
    const worker = this.#backend.createWorker(queue.name, process, {
      settings: { backoffStrategy: (tries) => Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(tries - 1, 10)) },
      concurrency,
      runRetryDelay: 500,
    });
    worker.on('error', (error) => this.#onError(error, queue.name));
    worker.on('failed', (job, error) => {
      if (job === undefined || job.attemptsMade >= TRIES) {
        this.#onError(new Error(`a message was given up: ${error.message}`, { cause: error }), queue.name);
      }
    });
    let closing: Promise<void> | undefined;
    const subscription: Subscription = {
      close: () => {
        this.#subscriptions.delete(subscription);
        closing ??= worker.close();
        return closing;
      },
    };
    this.#subscriptions.add(subscription);
    await worker.waitUntilReady();
    return subscription;
  }

  /** Throws unless the store answers. */
  async ping(): Promise<void> {
    await this.#limited(this.#queue(schedulerQueue.name).getWaitingCount());
  }

  /** Messages that wait or are being handled. Throws `database_unavailable`. */
  async depth(queue: QueueRef<unknown>): Promise<number> {
    return await this.#limited(this.#queue(queue.name).getJobCountByTypes('waiting', 'active', 'delayed'));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    await this.#backend.close();
  }

  /** BullMQ waits for a store that is out of reach as long as it takes; callers of ours want to know. */
  async #limited<T>(call: Promise<T>): Promise<T> {
    const outOfReach = (cause?: unknown): Error =>
      new ClipyardError('database_unavailable', `The queue on ${this.#backend.kind} is out of reach`, { cause });
    const limit = withTimeout(undefined, CALL_TIMEOUT_MS, outOfReach);
    try {
      return await abortable(call, limit.signal);
    } catch (error) {
      throw error instanceof ClipyardError ? error : outOfReach(error);
    } finally {
      limit.clear();
    }
  }

  #queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = this.#backend.createQueue(name);
      queue.on('error', (error) => this.#onError(error, name));
      this.#queues.set(name, queue);
    }
    return queue;
  }
}
