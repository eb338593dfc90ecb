export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Default 2. */
  readonly factor?: number;
  /** Share of each delay that is random, 0 to 1; default 0.5, so that many clients do not return at once. */
  readonly jitter?: number;
  /** Numbers in [0, 1); default `Math.random`. */
  readonly random?: () => number;
}

export interface Backoff {
  /** The next delay, ms: initial * factor^k, at most `maxMs`, less its random share. */
  next(): number;
  /** Begins again with the initial delay. */
  reset(): void;
}

/** Delays that grow exponentially. */
export function backoff({ initialMs, maxMs, factor = 2, jitter = 0.5, random = Math.random }: BackoffOptions): Backoff {
  let current = initialMs;
  return {
    next() {
      const delayMs = Math.min(current, maxMs);
      current = Math.min(current * factor, maxMs);
      return delayMs * (1 - jitter * random());
    },
    reset() {
      current = initialMs;
    },
  };
}
