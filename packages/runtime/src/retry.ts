import { type BackoffOptions, backoff } from './backoff.js';
import { sleep } from './sleep.js';

export interface RetryOptions {
  readonly signal?: AbortSignal;
  readonly backoff: BackoffOptions;
  /** Whether to try again after this error; `attempts` counts the tries so far. */
  readonly shouldRetry: (error: unknown, attempts: number) => boolean;
  /** Called before each wait. */
  readonly onRetry?: (error: unknown, delayMs: number) => void;
}

/** Calls `action` until it resolves, waiting longer each time; rejects with its error when that is not to be retried. */
export async function retry<T>(action: () => Promise<T>, options: RetryOptions): Promise<T> {
  const delays = backoff(options.backoff);
  for (let attempts = 1; ; attempts++) {
    options.signal?.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      if (options.signal?.aborted || !options.shouldRetry(error, attempts)) throw error;
      const delayMs = delays.next();
      options.onRetry?.(error, delayMs);
      await sleep(delayMs, { signal: options.signal });
    }
  }
}
