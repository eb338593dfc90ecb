import { useQuery } from '@tanstack/react-query';
import { lazy, useEffect } from 'react';
import { Link } from 'wouter';
import { server } from '../server/server.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { Alarms } from './alarms.js';
import { Charts } from './charts-tab.js';
import { Checkpoints } from './checkpoints-tab.js';
import { Evaluations } from './evaluations-tab.js';
import { Logs } from './logs-tab.js';
import { RunHead } from './run-head.js';
import { TimeSpent } from './time-tab.js';
import { Timeline } from './timeline-tab.js';
import { useRunSeries } from './use-run-series.js';
import { useRunStream } from './use-run-stream.js';

const Inside = lazy(() => import('../inspect/inside-tab.js'));
const Spec = lazy(() => import('./spec-tab.js'));

const POLL_MS = 3000;
const TABS = [
  ['charts', 'Charts'],
  ['timeline', 'Time line'],
  ['time', 'Where time went'],
  ['logs', 'Logs'],
  ['checkpoints', 'Checkpoints'],
  ['evaluations', 'Evaluations'],
  ['inside', 'Look inside'],
  ['spec', 'Spec'],
] as const;

export default function RunPage({ id, tab }: { id: string; tab: string }) {
  const job = useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => server.get(id, { signal }),
    refetchInterval: ({ state }) => (state.error === null ? POLL_MS : false),
  });
  const stream = useRunStream(id);
  const series = useRunSeries(job.data, id, stream);
  const name = job.data?.name;
  useEffect(() => {
    document.title = name === undefined ? 'Run · Clipyard' : `${name} · Clipyard`;
  }, [name]);
  if (job.data === undefined) {
    if (!job.isError) return <p className="loading">Loading …</p>;
    return (
      <>
        <ErrorPanel error={job.error} />
        <p>
          <Link href="/runs">All runs</Link>
        </p>
      </>
    );
  }
  return (
    <>
      <RunHead job={job.data} series={series.series} />
      {job.data.error !== null && <ErrorPanel error={job.data.error} />}
      <Alarms alarms={job.data.alarms} />
      <nav className="tabs" aria-label="Parts of the run">
        {TABS.map(([key, title]) => (
          <Link key={key} href={`/runs/${id}/${key}`} aria-current={key === tab ? 'page' : undefined}>
            {title}
          </Link>
        ))}
      </nav>
      {tab === 'charts' && (
        <Charts runs={[{ id, label: job.data.name, series: series.series }]} pending={series.isPending} />
      )}
      {tab === 'timeline' && <Timeline job={job.data} events={stream.events} />}
      {tab === 'time' && <TimeSpent series={series.series} />}
      {tab === 'logs' && <Logs job={job.data} />}
      {tab === 'checkpoints' && <Checkpoints job={job.data} />}
      {tab === 'evaluations' && <Evaluations job={job.data} events={stream.events} />}
      {tab === 'inside' && <Inside job={job.data} />}
      {tab === 'spec' && <Spec job={job.data} />}
    </>
  );
}
