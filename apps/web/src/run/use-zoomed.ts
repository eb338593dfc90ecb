import { useQueries } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { Zoom } from '../charts/chart.js';
import { loadSeries } from '../charts/load-series.js';
import type { ChartedRun } from './charts-tab.js';
import { BUCKETS } from './use-run-series.js';

/** The runs with the steps that are shown in finer buckets, where those of the whole run are coarse. */
export function useZoomed(runs: readonly ChartedRun[], zoom: Zoom): readonly ChartedRun[] {
  const coarse = runs.map(({ series }) => [...series.values()].some(({ bucketSteps = 1 }) => bucketSteps > 1));
  const [from, to] = zoom === null ? [0, 0] : [Math.max(0, Math.floor(zoom[0])), Math.ceil(zoom[1])];
  const details = useQueries({
    queries: runs.map(({ id }, i) => ({
      queryKey: ['zoomed', id, from, to],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        loadSeries(id, { buckets: BUCKETS, fromStep: from, toStep: to }, signal),
      enabled: zoom !== null && coarse[i]!,
      placeholderData: undefined,
      staleTime: 30_000,
    })),
  });
  const found = details.map(({ data }) => data);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is found stands for the steps that it is of
  return useMemo(
    () =>
      runs.map((run, i) =>
        zoom === null || found[i] === undefined
          ? run
          : { ...run, series: new Map([...run.series, ...found[i].map((series) => [series.name, series] as const)]) },
      ),
    [runs, zoom, ...found],
  );
}
