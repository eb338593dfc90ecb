import { ALARMS, isFinalJobState, type Job } from '@clipyard/contracts';
import { Link } from 'wouter';
import { formatAge, formatCount, formatDuration, formatPercent, formatTime, formatValue } from '../format.js';
import { elapsedMs, progressOf, remainingMs } from '../progress.js';
import { Menu } from '../ui/menu.js';
import { ProgressBar } from '../ui/progress-bar.js';
import { Sparkline } from '../ui/sparkline.js';
import { StateBadge } from '../ui/state-badge.js';
import { useNow } from '../ui/use-now.js';
import { actionsOf, useJobAction } from './job-actions.js';
import { useLossCourse } from './use-loss-course.js';

interface Rows {
  readonly jobs: readonly Job[];
  readonly marked: readonly string[];
  readonly onToggle: (id: string) => void;
  readonly onLabel: (label: string) => void;
}

export function RunsTable({ jobs, marked, onToggle, onLabel }: Rows) {
  const now = useNow();
  return (
    <table className="rows runs">
      <caption className="visually-hidden">Runs, newest first</caption>
      <thead>
        <tr>
          <th scope="col">
            <span className="visually-hidden">Compare</span>
          </th>
          <th scope="col">Run</th>
          <th scope="col">State</th>
          <th scope="col">Progress</th>
          <th scope="col">Loss</th>
          <th scope="col" className="number cell-top1">
            Top 1
          </th>
          <th scope="col" className="number cell-speed">
            Samples/s
          </th>
          <th scope="col" className="number">
            Time
          </th>
          <th scope="col" className="number cell-age">
            Age
          </th>
          <th scope="col">
            <span className="visually-hidden">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <Row
            key={job.id}
            job={job}
            now={now}
            marked={marked.includes(job.id)}
            onToggle={() => onToggle(job.id)}
            onLabel={onLabel}
          />
        ))}
      </tbody>
    </table>
  );
}

interface RowProps {
  readonly job: Job;
  readonly now: number;
  readonly marked: boolean;
  readonly onToggle: () => void;
  readonly onLabel: (label: string) => void;
}

function Row({ job, now, marked, onToggle, onLabel }: RowProps) {
  const course = useLossCourse(job);
  const { loss } = job.latest;
  const accuracy = job.latest['eval/zeroshot/top1'];
  const speed = job.latest['speed/samples_per_second'];
  return (
    <tr className={marked ? 'marked' : undefined}>
      <td className="cell-mark">
        <input type="checkbox" checked={marked} onChange={onToggle} aria-label={`Compare ${job.name}`} />
      </td>
      <td className="cell-name">
        <Link data-row href={`/runs/${job.id}`}>
          {job.name}
        </Link>
        <span className="labels">
          {Object.entries(job.labels).map(([key, value]) => (
            <button key={key} type="button" className="chip" onClick={() => onLabel(`${key}=${value}`)}>
              {key}={value}
            </button>
          ))}
        </span>
      </td>
      <td className="cell-state">
        <StateBadge state={job.state} />
        {job.alarms.length > 0 && (
          <Link
            className="alarm-count"
            href={`/runs/${job.id}`}
            title={job.alarms.map(({ code }) => ALARMS[code].title).join('; ')}
          >
            {job.alarms.length} {job.alarms.length === 1 ? 'alarm' : 'alarms'}
          </Link>
        )}
      </td>
      <td className="cell-progress">
        <ProgressBar value={progressOf(job)} label={`Progress of ${job.name}`} tone={job.state} />
        <span className="muted">
          {formatCount(job.step)}
          {job.totalSteps !== null && ` / ${formatCount(job.totalSteps)}`}
        </span>
      </td>
      <td className="cell-loss">
        <Sparkline values={course} label={`Course of the loss of ${job.name}`} />
        <span>{loss === undefined ? '' : formatValue(loss)}</span>
      </td>
      <td className="number cell-top1">{accuracy === undefined ? '' : formatPercent(accuracy)}</td>
      <td className="number cell-speed">{speed === undefined ? '' : formatCount(Math.round(speed))}</td>
      <td className="number cell-time">
        <Time job={job} now={now} />
      </td>
      <td className="number cell-age muted" title={formatTime(job.createdAt)}>
        {formatAge(now - Date.parse(job.createdAt))}
      </td>
      <td className="cell-actions">
        <RowMenu job={job} />
      </td>
    </tr>
  );
}

/** What is left of a job that runs; what one took that has ended. */
function Time({ job, now }: { job: Job; now: number }) {
  const left = remainingMs(job);
  if (left !== undefined) return <span title="Time left">{formatDuration(left)} left</span>;
  const taken = elapsedMs(job, now);
  if (taken === undefined) return null;
  return <span className={isFinalJobState(job.state) ? 'muted' : undefined}>{formatDuration(taken)}</span>;
}

function RowMenu({ job }: { job: Job }) {
  const act = useJobAction();
  return (
    <Menu label={`Actions for ${job.name}`}>
      {actionsOf(job.state).map((action) => (
        <button key={action} type="button" onClick={() => act.mutate({ job, action })}>
          {action}
        </button>
      ))}
      <Link href={`/submit?from=${job.id}`}>submit a copy</Link>
      <Link href={`/runs/${job.id}/logs`}>logs</Link>
      <Link href={`/runs/${job.id}/spec`}>spec</Link>
    </Menu>
  );
}
