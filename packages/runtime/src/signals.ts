export interface SignalOptions {
  /** Ends the process this long after the first signal, whether or not the drain is done, ms. */
  readonly forceAfterMs: number;
  /** Ends the process; default `process.exit`. */
  readonly exit?: (code: number) => void;
  /** Told why the process is ended by force. */
  readonly onForce?: (reason: string, error?: unknown) => void;
}

/**
 * Calls `drain` at the first of these signals. When it resolves the process ends with code 0, when it rejects, at a second
 * signal or after `forceAfterMs` with code 1. Returns a function that stops listening.
 */
export function onSignals(
  signals: readonly NodeJS.Signals[],
  drain: (signal: NodeJS.Signals) => Promise<void>,
  { forceAfterMs, exit = process.exit, onForce = () => {} }: SignalOptions,
): () => void {
  let draining = false;
  let timer: NodeJS.Timeout | undefined;
  const remove = () => {
    clearTimeout(timer);
    for (const signal of signals) process.off(signal, listener);
  };
  const finish = (code: number) => {
    remove();
    exit(code);
  };
  const force = (reason: string, error?: unknown) => {
    onForce(reason, error);
    finish(1);
  };
  const listener = (signal: NodeJS.Signals) => {
    if (draining) {
      force(`a second ${signal}`);
      return;
    }
    draining = true;
    timer = setTimeout(() => force(`the drain took longer than ${forceAfterMs} ms`), forceAfterMs);
    drain(signal).then(
      () => finish(0),
      (error) => force('the drain failed', error),
    );
  };
  for (const signal of signals) process.on(signal, listener);
  return remove;
}
