import { type Checkpoint, isFinalJobState, type Job } from '@clipyard/contracts';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import { Link } from 'wouter';
import { formatAge, formatBytes, formatCount, formatMetric, formatTime } from '../format.js';
import { server } from '../server/server.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { Icon } from '../ui/icon.js';
import { useNow } from '../ui/use-now.js';

const ForkDialog = lazy(() => import('./fork-dialog.js'));

const POLL_MS = 5000;

export function useCheckpoints(job: Job) {
  return useQuery({
    queryKey: ['job', job.id, 'checkpoints'],
    queryFn: ({ signal }) => server.checkpoints(job.id, { signal }),
    refetchInterval: isFinalJobState(job.state) ? false : POLL_MS,
  });
}

export function Checkpoints({ job }: { job: Job }) {
  const now = useNow();
  const [forked, setForked] = useState<Checkpoint>();
  const { data, error } = useCheckpoints(job);
  if (data === undefined) return error === null ? <p className="loading">Loading …</p> : <ErrorPanel error={error} />;
  if (data.length === 0) {
    return (
      <Empty title="No checkpoints">
        <p>The spec writes one every {formatCount(job.spec.checkpoint.everySteps)} steps, and one at the end.</p>
      </Empty>
    );
  }
  const newestFirst = data.toSorted((a, b) => b.step - a.step);
  return (
    <>
      <ul className="cards wide">
        {newestFirst.map((checkpoint) => (
          <li key={checkpoint.id} className="panel checkpoint">
            <header>
              <h2>Step {formatCount(checkpoint.step)}</h2>
              <span className="muted" title={formatTime(checkpoint.createdAt)}>
                {formatAge(now - Date.parse(checkpoint.createdAt))} ago, {formatBytes(checkpoint.bytes)}
              </span>
            </header>
            <Figures metrics={checkpoint.metrics} />
            <ul className="files">
              {checkpoint.files.map((file) => (
                <li key={file.name}>
                  <a href={fileUrl(checkpoint, file.name)} download={`${job.name}-${checkpoint.step}-${file.name}`}>
                    <Icon name="download" /> {file.name}
                  </a>
                  <span className="muted">{formatBytes(file.bytes)}</span>
                </li>
              ))}
            </ul>
            <div className="actions">
              <Link className="button" href={`/runs/${job.id}/inside?checkpoint=${checkpoint.id}`}>
                Look inside
              </Link>
              <button type="button" className="button" onClick={() => setForked(checkpoint)}>
                fork
              </button>
            </div>
          </li>
        ))}
      </ul>
      <Suspense>
        <ForkDialog key={forked?.id} job={job} checkpoint={forked} onClose={() => setForked(undefined)} />
      </Suspense>
    </>
  );
}

const fileUrl = ({ id }: Checkpoint, name: string): string =>
  `/v1/checkpoints/${encodeURIComponent(id)}/files/${encodeURIComponent(name)}`;

function Figures({ metrics }: { metrics: Readonly<Record<string, number>> }) {
  const shown = ['loss', 'eval/zeroshot/top1', 'eval/retrieval/image_to_text/r1'].filter((name) => name in metrics);
  if (shown.length === 0) return null;
  return (
    <dl className="facts">
      {shown.map((name) => (
        <div key={name}>
          <dt>{name.replace('eval/', '')}</dt>
          <dd>{formatMetric(name, metrics[name]!)}</dd>
        </div>
      ))}
    </dl>
  );
}
