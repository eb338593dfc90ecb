import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { Link } from 'wouter';
import { formatAge, formatTime } from '../format.js';
import { server } from '../server/server.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { StateBadge } from '../ui/state-badge.js';
import { useNow } from '../ui/use-now.js';

const POLL_MS = 2000;
const MOST = 500;

/** Jobs that wait for slots, in the order in which they will get them. */
export default function QueuePage() {
  const now = useNow();
  const { data, error } = useQuery({
    queryKey: ['queue'],
    queryFn: ({ signal }) => server.queue({ limit: MOST }, { signal }),
    refetchInterval: POLL_MS,
  });
  useEffect(() => {
    document.title = 'Queue · Clipyard';
  }, []);
  return (
    <>
      <header className="page-head">
        <h1>Queue</h1>
        {data !== undefined && <p className="muted">{data.items.length} wait</p>}
      </header>
      {data === undefined && (error === null ? <p className="loading">Loading …</p> : <ErrorPanel error={error} />)}
      {data?.items.length === 0 && (
        <Empty title="Nothing waits">
          <p>
            Every job has its slots. <Link href="/submit">Submit another</Link>
          </p>
        </Empty>
      )}
      {data !== undefined && data.items.length > 0 && (
        <div className="scroll-x">
          <table className="rows">
            <caption className="visually-hidden">Jobs that wait, in order</caption>
            <thead>
              <tr>
                <th scope="col" className="number">
                  #
                </th>
                <th scope="col">Run</th>
                <th scope="col">State</th>
                <th scope="col">Waits for</th>
                <th scope="col">Pool</th>
                <th scope="col" className="number">
                  Ranks
                </th>
                <th scope="col" className="number">
                  Free slots
                </th>
                <th scope="col" className="number">
                  Priority
                </th>
                <th scope="col" className="number">
                  Age
                </th>
              </tr>
            </thead>
            <tbody>
              {data.items.map((entry) => (
                <tr key={entry.jobId}>
                  <td className="number">{entry.position}</td>
                  <td>
                    <Link data-row href={`/runs/${entry.jobId}`}>
                      {entry.name}
                    </Link>
                  </td>
                  <td>
                    <StateBadge state={entry.state} />
                  </td>
                  <td>{entry.why}</td>
                  <td>{entry.pool}</td>
                  <td className="number">
                    {entry.world.min === entry.world.max ? entry.world.min : `${entry.world.min} to ${entry.world.max}`}
                  </td>
                  <td className="number">{entry.freeSlots}</td>
                  <td className="number">{entry.priority}</td>
                  <td className="number muted" title={formatTime(entry.createdAt)}>
                    {formatAge(now - Date.parse(entry.createdAt))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
