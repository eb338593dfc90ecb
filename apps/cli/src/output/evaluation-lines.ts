import type { Evaluation } from '@clipyard/contracts';
import { formatNumber, formatPercent } from './format.js';
import { formatTable } from './table.js';

/** Figures that are no shares. */
const PLAIN = /rank$|^strength$/;

/** What an evaluation found, a line a figure. */
export function evaluationLines({ step, values, results }: Evaluation): string[] {
  const rows =
    results.length > 0
      ? results.flatMap(({ task, values: found }) =>
          Object.entries(found).map(([name, value]) => row(task, name, value)),
        )
      : Object.entries(values).map(([name, value]) => row('', name, value));
  return [`evaluation of the weights after step ${step}:`, ...formatTable(['TASK', 'FIGURE', 'VALUE'], rows)];
}

function row(task: string, name: string, value: number): string[] {
  return [task, name, PLAIN.test(name) ? formatNumber(value) : formatPercent(value)];
}
