import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { Link } from 'wouter';
import { formatAge, formatMetric, formatTime } from '../format.js';
import { server } from '../server/server.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { StateBadge } from '../ui/state-badge.js';
import { useNow } from '../ui/use-now.js';

const POLL_MS = 3000;

export default function SweepsPage() {
  const now = useNow();
  const { data, error } = useQuery({
    queryKey: ['sweeps'],
    queryFn: ({ signal }) => server.sweeps.list({ limit: 100 }, { signal }),
    refetchInterval: POLL_MS,
  });
  useEffect(() => {
    document.title = 'Sweeps · Clipyard';
  }, []);
  return (
    <>
      <header className="page-head">
        <h1>Sweeps</h1>
      </header>
      {data === undefined && (error === null ? <p className="loading">Loading …</p> : <ErrorPanel error={error} />)}
      {data?.items.length === 0 && (
        <Empty title="No sweeps yet">
          <p>A sweep searches the best values of some fields of a spec:</p>
          <pre>npm run clipyard -- sweep submit examples/sweep-shapes.yaml</pre>
        </Empty>
      )}
      {data !== undefined && data.items.length > 0 && (
        <div className="scroll-x">
          <table className="rows">
            <caption className="visually-hidden">Sweeps, newest first</caption>
            <thead>
              <tr>
                <th scope="col">Sweep</th>
                <th scope="col">State</th>
                <th scope="col">Searches</th>
                <th scope="col">Trials</th>
                <th scope="col" className="number">
                  Best
                </th>
                <th scope="col" className="number">
                  Age
                </th>
              </tr>
            </thead>
            <tbody>
              {data.items.map((sweep) => (
                <tr key={sweep.id}>
                  <td>
                    <Link data-row href={`/sweeps/${sweep.id}`}>
                      {sweep.name}
                    </Link>
                  </td>
                  <td>
                    <StateBadge state={sweep.state} />
                  </td>
                  <td className="mono">{Object.keys(sweep.spec.parameters).join(', ')}</td>
                  <td>
                    {Object.entries(sweep.trials)
                      .filter(([, count]) => count > 0)
                      .map(([state, count]) => `${count} ${state}`)
                      .join(', ')}
                  </td>
                  <td className="number">
                    {sweep.best === null
                      ? ''
                      : `${sweep.spec.objective.metric} ${formatMetric(sweep.spec.objective.metric, sweep.best.objective)}`}
                  </td>
                  <td className="number muted" title={formatTime(sweep.createdAt)}>
                    {formatAge(now - Date.parse(sweep.createdAt))}
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
