import { isFinalSweepState, type Sweep, type Trial } from '@clipyard/contracts';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import { formatCount, formatMetric } from '../format.js';
import { server } from '../server/server.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { notify, notifyError } from '../ui/notices.js';
import { StateBadge } from '../ui/state-badge.js';
import { parallelLines } from './parallel-lines.js';

const POLL_MS = 3000;

export default function SweepPage({ id }: { id: string }) {
  const sweep = useQuery({
    queryKey: ['sweep', id],
    queryFn: ({ signal }) => server.sweeps.get(id, { signal }),
    refetchInterval: POLL_MS,
  });
  const trials = useQuery({
    queryKey: ['sweep', id, 'trials'],
    queryFn: ({ signal }) => server.sweeps.trials(id, { signal }),
    refetchInterval: POLL_MS,
  });
  const [chosen, setChosen] = useState<number>();
  const name = sweep.data?.name;
  useEffect(() => {
    document.title = `${name ?? 'Sweep'} · Clipyard`;
  }, [name]);
  if (sweep.data === undefined)
    return sweep.isError ? <ErrorPanel error={sweep.error} /> : <p className="loading">Loading …</p>;
  return (
    <>
      <p className="crumbs">
        <Link href="/sweeps">Sweeps</Link>
      </p>
      <Head sweep={sweep.data} />
      {trials.data !== undefined && (
        <>
          <Parallel sweep={sweep.data} trials={trials.data} chosen={chosen} />
          <Trials sweep={sweep.data} trials={trials.data} chosen={chosen} onChoose={setChosen} />
        </>
      )}
    </>
  );
}

function Head({ sweep }: { sweep: Sweep }) {
  const queries = useQueryClient();
  const act = useMutation({
    mutationFn: (action: 'pause' | 'resume' | 'cancel') => server.sweeps.act(sweep.id, action),
    onSuccess: (changed) => notify('good', `${changed.name} is ${changed.state}`),
    onError: notifyError,
    onSettled: () => queries.invalidateQueries({ queryKey: ['sweep', sweep.id] }),
  });
  const actions = isFinalSweepState(sweep.state)
    ? []
    : ([sweep.state === 'paused' ? 'resume' : 'pause', 'cancel'] as const);
  const { metric, goal } = sweep.spec.objective;
  return (
    <>
      <header className="page-head">
        <h1>{sweep.name}</h1>
        <StateBadge state={sweep.state} />
        <div className="actions">
          {actions.map((action) => (
            <button key={action} type="button" className="button" onClick={() => act.mutate(action)}>
              {action}
            </button>
          ))}
        </div>
      </header>
      {sweep.reason !== null && <p className="muted">{sweep.reason}</p>}
      <dl className="figures">
        <div>
          <dt>Objective</dt>
          <dd>
            {goal} {metric}
          </dd>
        </div>
        <div>
          <dt>Best</dt>
          <dd>
            {sweep.best === null ? (
              '–'
            ) : (
              <Link href={`/runs/${sweep.best.jobId}`}>
                {formatMetric(metric, sweep.best.objective)}, trial {sweep.best.index}
              </Link>
            )}
          </dd>
        </div>
        <div>
          <dt>Trials</dt>
          <dd>{formatCount(Object.values(sweep.trials).reduce((sum, count) => sum + count, 0))}</dd>
        </div>
        {sweep.rungs.length > 1 && (
          <div>
            <dt>Rungs</dt>
            <dd>
              {sweep.rungs.map((rung) => Object.entries(rung).map(([unit, size]) => `${size} ${unit}`)).join(' → ')}
            </dd>
          </div>
        )}
      </dl>
    </>
  );
}

interface TrialsProps {
  readonly sweep: Sweep;
  readonly trials: readonly Trial[];
  readonly chosen: number | undefined;
  readonly onChoose: (index: number | undefined) => void;
}

const WIDTH = 900;
const HEIGHT = 260;
const TOP = 34;
const SIDE = 70;

/** Each trial is a line through its values, to its objective on the right. */
function Parallel({ sweep, trials, chosen }: Omit<TrialsProps, 'onChoose'>) {
  const { axes, lines } = parallelLines(sweep, trials);
  if (lines.length === 0) return null;
  const x = (i: number) => SIDE + ((WIDTH - 2 * SIDE) * i) / (axes.length - 1);
  const y = (at: number) => HEIGHT - 22 - (HEIGHT - TOP - 22) * at;
  const best = sweep.best?.index;
  return (
    <figure className="panel parallel">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label="Values of the trials and what came of them">
        {axes.map((axis, i) => (
          <g key={axis.title}>
            <line x1={x(i)} x2={x(i)} y1={y(0)} y2={y(1)} className="axis" />
            <text x={x(i)} y={14} className="axis-title">
              {axis.title}
            </text>
            {axis.ticks.map(({ at, text }) => (
              <text key={text} x={x(i) + 6} y={y(at) + 4} className="tick">
                {text}
              </text>
            ))}
          </g>
        ))}
        {lines.map(({ index, at, good }) => (
          <polyline
            key={index}
            points={at.map((value, i) => `${x(i)},${y(value)}`).join(' ')}
            className={`trial-line${index === best ? ' best' : ''}${index === chosen ? ' chosen' : ''}`}
            style={
              index === chosen
                ? {}
                : { stroke: `color-mix(in oklab, var(--chart-1) ${100 * good}%, var(--line-strong))` }
            }
          />
        ))}
      </svg>
    </figure>
  );
}

function Trials({ sweep, trials, chosen, onChoose }: TrialsProps) {
  const parameters = Object.keys(sweep.spec.parameters);
  const { metric, goal } = sweep.spec.objective;
  const sign = goal === 'min' ? 1 : -1;
  const value = (trial: Trial) => trial.objective ?? trial.current;
  const bestFirst = trials.toSorted((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === null || right === null) return (left === null ? 1 : 0) - (right === null ? 1 : 0) || a.index - b.index;
    return sign * (left - right) || a.index - b.index;
  });
  return (
    <div className="scroll-x">
      <table className="rows">
        <caption className="visually-hidden">Trials, best first</caption>
        <thead>
          <tr>
            <th scope="col" className="number">
              Trial
            </th>
            <th scope="col">State</th>
            {parameters.map((path) => (
              <th key={path} scope="col">
                {path}
              </th>
            ))}
            <th scope="col" className="number">
              Steps
            </th>
            <th scope="col" className="number">
              {metric}
            </th>
          </tr>
        </thead>
        <tbody>
          {bestFirst.map((trial) => {
            const found = value(trial);
            return (
              <tr
                key={trial.index}
                className={trial.index === chosen ? 'marked' : undefined}
                onMouseEnter={() => onChoose(trial.index)}
                onMouseLeave={() => onChoose(undefined)}
              >
                <td className="number">
                  {trial.jobId === null ? (
                    trial.index
                  ) : (
                    <Link data-row href={`/runs/${trial.jobId}`}>
                      {trial.index}
                    </Link>
                  )}
                </td>
                <td>
                  <StateBadge state={trial.state} />
                </td>
                {parameters.map((path) => (
                  <td key={path} className="mono">
                    {JSON.stringify(trial.values[path])}
                  </td>
                ))}
                <td className="number">
                  {formatCount(trial.step)}
                  {trial.totalSteps !== null && ` / ${formatCount(trial.totalSteps)}`}
                </td>
                <td className="number">{found === null ? '' : formatMetric(metric, found)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
