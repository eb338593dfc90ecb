import type { Job } from '@clipyard/contracts';
import { Link } from 'wouter';
import type { Series } from '../charts/series.js';
import { formatAge, formatCount, formatDuration, formatMetric } from '../format.js';
import { elapsedMs, progressOf, remainingMs } from '../progress.js';
import { actionsOf, useJobAction } from '../runs/job-actions.js';
import { CopyButton } from '../ui/copy-button.js';
import { ProgressBar } from '../ui/progress-bar.js';
import { StateBadge } from '../ui/state-badge.js';
import { useNow } from '../ui/use-now.js';

/** Name, state, progress and the figures that people look for first. */
export function RunHead({ job, series }: { job: Job; series: ReadonlyMap<string, Series> }) {
  const now = useNow();
  const act = useJobAction();
  const value = (name: string) => series.get(name)?.mean.at(-1) ?? job.latest[name];
  const facts = factsOf(job, now, value);
  return (
    <header className="run-head">
      <p className="crumbs">
        <Link href="/runs">Runs</Link>
      </p>
      <div className="page-head">
        <h1>{job.name}</h1>
        <StateBadge state={job.state} />
        <span className="mono muted run-id">
          {job.id} <CopyButton text={job.id} label="Copy the id" />
        </span>
        <div className="actions">
          {actionsOf(job.state).map((action) => (
            <button key={action} type="button" className="button" onClick={() => act.mutate({ job, action })}>
              {action}
            </button>
          ))}
        </div>
      </div>
      {job.reason !== null && job.error === null && <p className="muted">{job.reason}</p>}
      <ProgressBar value={progressOf(job)} label="Progress" tone={job.state} />
      <dl className="figures">
        {facts.map(([title, text]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </header>
  );
}

function factsOf(job: Job, now: number, value: (name: string) => number | undefined): [string, string][] {
  const metric = (title: string, name: string): [string, string][] => {
    const found = value(name);
    return found === undefined ? [] : [[title, formatMetric(name, found)]];
  };
  const left = remainingMs(job);
  const taken = elapsedMs(job, now);
  const restarts = job.restarts.infrastructure + job.restarts.user;
  return [
    ['Step', `${formatCount(job.step)}${job.totalSteps === null ? '' : ` / ${formatCount(job.totalSteps)}`}`],
    ...metric('Loss', 'loss'),
    ...metric('Zero-shot top 1', 'eval/zeroshot/top1'),
    ...metric('Samples/s', 'speed/samples_per_second'),
    ...(left === undefined ? [] : ([['Left', formatDuration(left)]] as [string, string][])),
    ...(taken === undefined ? [] : ([['Took', formatDuration(taken)]] as [string, string][])),
    ['Ranks', job.worldSize === null ? '–' : String(job.worldSize)],
    ['Restarts', String(restarts)],
    ['Age', formatAge(now - Date.parse(job.createdAt))],
  ];
}
