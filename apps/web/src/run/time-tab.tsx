import { useMemo } from 'react';
import type { Series } from '../charts/series.js';
import { formatDuration, formatPercent } from '../format.js';
import { Empty } from '../ui/empty.js';
import { PhaseChart } from './phase-chart.js';
import { phaseShares, stackedPhases } from './phases.js';

/** Where the time of the steps went. */
export function TimeSpent({ series }: { series: ReadonlyMap<string, Series> }) {
  const shares = useMemo(() => phaseShares(series), [series]);
  const stacked = useMemo(() => stackedPhases(series), [series]);
  if (shares.length === 0) {
    return (
      <Empty title="No step times yet">
        <p>They appear with the first metrics.</p>
      </Empty>
    );
  }
  return (
    <div className="time-spent">
      <section className="panel">
        <h2>Mean step</h2>
        <div className="share-bar" aria-hidden="true">
          {shares.map(({ phase, share }, i) => (
            <span
              key={phase}
              className={`fill-${phase === 'other' ? 'other' : i}`}
              style={{ inlineSize: `${100 * share}%` }}
            />
          ))}
        </div>
        <table className="shares">
          <caption className="visually-hidden">Mean time of a step by phase</caption>
          <tbody>
            {shares.map(({ phase, ms, share }, i) => (
              <tr key={phase}>
                <th scope="row">
                  <span className={`swatch fill-${phase === 'other' ? 'other' : i}`} aria-hidden="true" /> {phase}
                </th>
                <td className="number">{formatDuration(ms)}</td>
                <td className="number">{formatPercent(share)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <section className="panel">
        <h2>Over the run</h2>
        <PhaseChart {...stacked} />
      </section>
    </div>
  );
}
