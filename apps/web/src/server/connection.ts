import { useSyncExternalStore } from 'react';
import { tokenWanted } from './session.js';

/** Whether the server answers. `lost` from the first request that got no answer, or 503, until one does. */
export type Connection = 'ok' | 'lost';

let state: Connection = 'ok';
const listeners = new Set<() => void>();

function set(next: Connection): void {
  if (next === state) return;
  state = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const useConnection = (): Connection => useSyncExternalStore(subscribe, () => state);

/** Calls back each time that the server answers again. */
export function onReconnected(callback: () => void): () => void {
  let before = state;
  return subscribe(() => {
    if (before === 'lost' && state === 'ok') callback();
    before = state;
  });
}

/** `fetch`, which notes whether the server answers. */
export const watchedFetch: typeof fetch = async (input, init) => {
  try {
    const response = await fetch(input, init);
    // A proxy answers 502 and 504 while the server behind it is away.
    set([502, 503, 504].includes(response.status) ? 'lost' : 'ok');
    if (response.status === 401) tokenWanted();
    return response;
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'AbortError') && init?.signal?.aborted !== true) set('lost');
    throw error;
  }
};

/** Time between two looks for a server that is away, ms. */
const PROBE_MS = 1000;

/** Looks for the server while it is away. Returns what ends it. */
export function watchConnection(): () => void {
  const timer = setInterval(() => {
    if (state === 'lost') void watchedFetch('/readyz', { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
  }, PROBE_MS);
  return () => clearInterval(timer);
}
