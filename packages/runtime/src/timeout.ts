export interface Timeout {
  /** Aborts when the outer signal does, with its reason, or when the time is up, with the error of `makeError`. */
  readonly signal: AbortSignal;
  /** Stops the timer and lets go of the outer signal; call it in a `finally`. */
  clear(): void;
}

/** A signal with a time limit of `ms` milliseconds. */
export function withTimeout(signal: AbortSignal | undefined, ms: number, makeError: () => Error): Timeout {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    clear();
    controller.abort(makeError());
  }, ms);
  const onAbort = () => {
    clear();
    controller.abort(signal!.reason);
  };
  const clear = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  return { signal: controller.signal, clear };
}

/** Settles as `promise` does, or rejects with the signal's reason when it aborts first; the promise goes on unheard. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort!);
  }
}
