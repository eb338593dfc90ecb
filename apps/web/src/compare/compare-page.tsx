import { isFinalJobState, type Job } from '@clipyard/contracts';
import { useQueries } from '@tanstack/react-query';
import { useEffect } from 'react';
import { Link } from 'wouter';
import { COLOURS } from '../charts/chart-options.js';
import { loadSeries } from '../charts/load-series.js';
import { formatCount, formatMetric } from '../format.js';
import { Charts } from '../run/charts-tab.js';
import { BUCKETS } from '../run/use-run-series.js';
import { server } from '../server/server.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { StateBadge } from '../ui/state-badge.js';
import { useQueryState } from '../ui/use-query-state.js';
import { specDiff } from './spec-diff.js';

const POLL_MS = 5000;
const FIGURES = ['loss', 'eval/zeroshot/top1', 'eval/retrieval/image_to_text/r1', 'speed/samples_per_second'];

export default function ComparePage() {
  const [query] = useQueryState();
  const ids = [...new Set((query.get('ids') ?? '').split(',').filter((id) => id !== ''))].slice(0, COLOURS);
  useEffect(() => {
    document.title = 'Compare · Clipyard';
  }, []);
  const found = useQueries({
    queries: ids.map((id) => ({
      queryKey: ['compared', id],
      queryFn: async ({ signal }: { signal: AbortSignal }) => {
        const job = await server.get(id, { signal });
        const series = await loadSeries(id, { buckets: BUCKETS }, signal);
        return { job, series: new Map(series.map((entry) => [entry.name, entry])) };
      },
      refetchInterval: ({ state }: { state: { data: { job: Job } | undefined } }) =>
        state.data !== undefined && isFinalJobState(state.data.job.state) ? (false as const) : POLL_MS,
    })),
  });
  const runs = found.flatMap(({ data }) => (data === undefined ? [] : [data]));
  const errors = found.flatMap(({ error, data }) => (error !== null && data === undefined ? [error] : []));
  if (ids.length === 0) {
    return (
      <Empty title="Nothing to compare">
        <p>
          Mark runs in the <Link href="/runs">list</Link> and press Compare.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <p className="crumbs">
        <Link href="/runs">Runs</Link>
      </p>
      <header className="page-head">
        <h1>Compare {ids.length} runs</h1>
      </header>
      {errors.map((error) => (
        <ErrorPanel key={error.message} error={error} />
      ))}
      {runs.length === 0 && errors.length === 0 ? <p className="loading">Loading …</p> : <Compared runs={runs} />}
    </>
  );
}

type Run = { readonly job: Job; readonly series: Parameters<typeof Charts>[0]['runs'][number]['series'] };

function Compared({ runs }: { runs: readonly Run[] }) {
  const names = FIGURES.filter((name) => runs.some(({ job }) => name in job.latest));
  const differences = specDiff(runs.map(({ job }) => job.spec)).filter(({ path }) => path !== 'name');
  const charted = runs.map(({ job, series }) => ({
    id: job.id,
    label:
      runs.filter((other) => other.job.name === job.name).length > 1 ? `${job.name} ${job.id.slice(-5)}` : job.name,
    series,
  }));
  return (
    <>
      <div className="scroll-x">
        <table className="rows">
          <caption className="visually-hidden">
            The runs, their figures and the fields in which their specs differ
          </caption>
          <thead>
            <tr>
              <th scope="col">
                <span className="visually-hidden">Figure or field</span>
              </th>
              {runs.map(({ job }, i) => (
                <th key={job.id} scope="col">
                  <span className={`swatch fill-${i}`} aria-hidden="true" />
                  <Link data-row href={`/runs/${job.id}`}>
                    {charted[i]!.label}
                  </Link>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">State</th>
              {runs.map(({ job }) => (
                <td key={job.id}>
                  <StateBadge state={job.state} />{' '}
                  <span className="muted">
                    {formatCount(job.step)} / {job.totalSteps === null ? '?' : formatCount(job.totalSteps)}
                  </span>
                </td>
              ))}
            </tr>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{name.replace('eval/', '')}</th>
                {runs.map(({ job }) => (
                  <td key={job.id}>{job.latest[name] === undefined ? '–' : formatMetric(name, job.latest[name])}</td>
                ))}
              </tr>
            ))}
            {differences.map(({ path, values }) => (
              <tr key={path} className="difference">
                <th scope="row" className="mono">
                  {path}
                </th>
                {values.map((value, i) => (
                  <td key={runs[i]!.job.id} className="mono">
                    {value ?? <span className="muted">not set</span>}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {differences.length === 0 && runs.length > 1 && (
        <p className="muted note">Their specs differ in nothing but the name.</p>
      )}
      <div className="compare-charts">
        <Charts runs={charted} pending={false} />
      </div>
    </>
  );
}
