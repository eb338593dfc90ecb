import type { JobState } from '@clipyard/contracts';
import { useInfiniteQuery } from '@tanstack/react-query';
import { server } from '../server/server.js';

const PAGE = 100;
/** Time between two looks at the list, ms. */
export const LIST_POLL_MS = 2000;

/** Jobs, newest first, page by page, kept up to date. */
export function useJobs(filter: { state?: JobState; label?: string }) {
  return useInfiniteQuery({
    queryKey: ['jobs', filter],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam: cursor, signal }) =>
      server.list({ ...filter, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) }, { signal }),
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    refetchInterval: LIST_POLL_MS,
  });
}
