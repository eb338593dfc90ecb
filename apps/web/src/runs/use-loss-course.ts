import { isFinalJobState, type Job } from '@clipyard/contracts';
import { useQuery } from '@tanstack/react-query';
import { loadSeries } from '../charts/load-series.js';

const POINTS = 48;
/** Time between two looks at the course of a job that runs, ms. */
const POLL_MS = 10_000;

/** A few values of the loss over the whole run, the newest as the list has it. */
export function useLossCourse(job: Job): readonly number[] {
  const final = isFinalJobState(job.state);
  const { data = [] } = useQuery({
    queryKey: ['loss-course', job.id, final],
    queryFn: async ({ signal }) => {
      const [series] = await loadSeries(job.id, { names: ['loss'], buckets: POINTS }, signal);
      return series?.mean ?? [];
    },
    enabled: job.step > 0,
    staleTime: final ? Number.POSITIVE_INFINITY : POLL_MS,
    refetchInterval: final ? false : POLL_MS,
  });
  const newest = job.latest.loss;
  return newest === undefined || final ? data : [...data, newest];
}
