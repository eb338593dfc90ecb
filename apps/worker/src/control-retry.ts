import { AssertionError } from 'node:assert';
import { ClipyardError } from '@clipyard/contracts';
import { retry } from '@clipyard/runtime';

const BACKOFF = { initialMs: 100, maxMs: 5_000 };
/** Tries of a call that fails with an error that nobody coded. */
const UNKNOWN_TRIES = 10;

export interface ControlRetryOptions {
  readonly signal?: AbortSignal;
  /** Called before each wait. */
  readonly onRetry?: (error: unknown, delayMs: number) => void;
}

/**
 * Calls the control plane until it answers: what fails because the database is out of reach is tried again for as long
 * as it takes, since the ranks go on without it; an error that nobody coded a few times.
 */
export function untilAnswered<T>(action: () => Promise<T>, options: ControlRetryOptions): Promise<T> {
  return retry(action, {
    ...options,
    backoff: BACKOFF,
    shouldRetry: (error, attempts) => {
      if (error instanceof ClipyardError) return error.code === 'database_unavailable';
      return !(error instanceof AssertionError) && attempts < UNKNOWN_TRIES;
    },
  });
}

export const isStale = (error: unknown): boolean => error instanceof ClipyardError && error.code === 'attempt_stale';
