import { isFinalJobState, type Job } from '@clipyard/contracts';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { loadSeries } from '../charts/load-series.js';
import { extended, type Series } from '../charts/series.js';
import type { RunStream } from './use-run-stream.js';

/** Entries of a chart. */
export const BUCKETS = 800;
/** Time after which the stored values are read anew, ms. */
const REFRESH_MS = 30_000;

/** All metrics of a run: what is stored, and what has come live since it was read. */
export function useRunSeries(job: Job | undefined, jobId: string, stream: RunStream) {
  const plans = stream.events.filter(({ type }) => type === 'plan').length;
  const final = job !== undefined && isFinalJobState(job.state);
  const stored = useQuery({
    queryKey: ['series', jobId, plans, final],
    queryFn: async ({ signal }) => {
      const readAt = Date.now();
      return { readAt, series: await loadSeries(jobId, { buckets: BUCKETS }, signal) };
    },
    enabled: stream.open,
    staleTime: REFRESH_MS,
    refetchInterval: final ? false : REFRESH_MS,
  });
  const all = useMemo(() => withLive(stored.data, stream.live), [stored.data, stream.live]);
  return { series: all, isPending: stored.isPending, error: stored.error };
}

function withLive(
  stored: { readAt: number; series: readonly Series[] } | undefined,
  live: RunStream['live'],
): ReadonlyMap<string, Series> {
  const all = new Map((stored?.series ?? []).map((series) => [series.name, series]));
  if (stored === undefined) return all;
  for (const [name, points] of live) {
    const later = points.filter(({ at }) => at >= stored.readAt).map(({ step, value }) => [step, value] as const);
    all.set(name, extended(all.get(name), name, later));
  }
  return all;
}
