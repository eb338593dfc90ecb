import type { Sweep, SweepParameter, Trial } from '@clipyard/contracts';
import { inOrder } from './trial-order.js';
import { valueText } from './value-text.js';

/** An axis of a plot in parallel coordinates. */
export interface Dimension {
  readonly name: string;
  readonly kind: 'parameter' | 'metric';
  readonly scale: 'linear' | 'log' | 'category';
  /** Both ends, or all categories; empty when no trial has a value. */
  readonly domain: readonly unknown[];
}

/** Parallel-coordinates data: the axes, the objective's last, and a row for each trial that has come to a result. */
export function parallelCoordinates(sweep: Sweep, trials: readonly Trial[]) {
  const rows = inOrder(sweep, trials)
    .filter(({ results }) => results.length > 0)
    .map(({ index, state, step, values, results, jobId }) => {
      const { rung, metrics } = results.at(-1)!;
      return { trial: index, state, rung, step, jobId, values: { ...values, ...metrics } as Record<string, unknown> };
    });
  const { objective, parameters } = sweep.spec;
  const metrics = new Set(
    rows.flatMap(({ values }) => Object.keys(values)).filter((name) => !Object.hasOwn(parameters, name)),
  );
  metrics.delete(objective.metric);
  const dimensions = [
    ...Object.entries(parameters).map(
      ([name, parameter]): Dimension => ({ name, kind: 'parameter', ...axisOf(parameter) }),
    ),
    ...[...metrics, objective.metric].map((name): Dimension => {
      const values = rows.map((row) => row.values[name]).filter((value) => typeof value === 'number');
      const domain = values.length === 0 ? [] : [Math.min(...values), Math.max(...values)];
      return { name, kind: 'metric', scale: 'linear', domain };
    }),
  ];
  return { sweep: sweep.id, name: sweep.name, objective, dimensions, rows };
}

function axisOf(parameter: SweepParameter): Pick<Dimension, 'scale' | 'domain'> {
  if (parameter.type === 'choice') return { scale: 'category', domain: parameter.values };
  return { scale: parameter.type === 'logUniform' ? 'log' : 'linear', domain: [parameter.min, parameter.max] };
}

/** The same rows as CSV (RFC 4180), one column a dimension. */
export function csvLines(data: ReturnType<typeof parallelCoordinates>): string[] {
  const names = data.dimensions.map(({ name }) => name);
  const cells = data.rows.map(({ trial, state, rung, step, jobId, values }) =>
    [trial, state, ...names.map((name) => values[name]), rung, step, jobId].map((cell) =>
      cell == null ? '' : valueText(cell),
    ),
  );
  return [['trial', 'state', ...names, 'rung', 'step', 'job'], ...cells].map((row) => row.map(quoted).join(','));
}

const quoted = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
