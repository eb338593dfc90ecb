import './zod-without-eval.js';
import { Client } from '@clipyard/client';
import { ClipyardError } from '@clipyard/contracts';
import { keepPreviousData, QueryClient } from '@tanstack/react-query';
import { onReconnected, watchConnection, watchedFetch } from './connection.js';

/** The server that this page comes from. Queries repeat by themselves, so the client tries once. */
export const server = new Client(
  { fetch: watchedFetch },
  { url: location.origin, attempts: 1, streamGiveUpMs: Number.POSITIVE_INFINITY },
);

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      networkMode: 'always',
      staleTime: 1000,
      placeholderData: keepPreviousData,
      retry: (_, error) => ClipyardError.from(error).retryable,
      retryDelay: 1000,
    },
    mutations: { networkMode: 'always' },
  },
});

/** What is on screen is read again as soon as the server is back. */
export function watchServer(): () => void {
  const ends = [watchConnection(), onReconnected(() => void queries.invalidateQueries())];
  return () => {
    for (const end of ends) end();
  };
}
