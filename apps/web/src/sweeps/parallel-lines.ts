import type { Sweep, Trial } from '@clipyard/contracts';
import { formatMetric, formatValue } from '../format.js';

export interface ParallelAxis {
  readonly title: string;
  /** Positions from 0, the bottom, to 1. */
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

export interface ParallelLine {
  /** Of the trial. */
  readonly index: number;
  /** Position on each axis, 0 to 1. */
  readonly at: readonly number[];
  /** From 0, the worst objective, to 1, the best. */
  readonly good: number;
}

type Scale = (value: unknown) => number;

/** The trials with an objective as lines over one axis for each parameter and one for the objective. */
export function parallelLines(
  sweep: Pick<Sweep, 'spec'>,
  trials: readonly Pick<Trial, 'index' | 'values' | 'objective' | 'current'>[],
): { axes: ParallelAxis[]; lines: ParallelLine[] } {
  const { metric, goal } = sweep.spec.objective;
  const drawn = trials.flatMap((trial) => {
    const objective = trial.objective ?? trial.current;
    return objective === null ? [] : [{ ...trial, objective }];
  });
  if (drawn.length === 0) return { axes: [], lines: [] };
  const parameters = Object.entries(sweep.spec.parameters).map(([path, { type }]) => {
    const values = drawn.map((trial) => trial.values[path]);
    return { path, ...(isNumbers(values) ? numberScale(values, type === 'logUniform') : choiceScale(values)) };
  });
  const objectives = drawn.map(({ objective }) => objective);
  const last = numberScale(objectives, false, (value) => formatMetric(metric, value));
  return {
    axes: [...parameters.map(({ path, ticks }) => ({ title: path, ticks })), { title: metric, ticks: last.ticks }],
    lines: drawn.map(({ index, values, objective }) => {
      const end = last.scale(objective);
      return {
        index,
        at: [...parameters.map(({ path, scale }) => scale(values[path])), end],
        good: goal === 'max' ? end : 1 - end,
      };
    }),
  };
}

const isNumbers = (values: readonly unknown[]): values is number[] =>
  values.every((value) => typeof value === 'number');

function numberScale(
  values: readonly number[],
  log: boolean,
  format: (value: number) => string = formatValue,
): { scale: Scale; ticks: ParallelAxis['ticks'] } {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const warp = log && low > 0 ? Math.log : (value: number) => value;
  const span = warp(high) - warp(low);
  const scale: Scale = (value) => (span === 0 ? 0.5 : (warp(value as number) - warp(low)) / span);
  const ticks = low === high ? [low] : [low, high];
  return { scale, ticks: ticks.map((value) => ({ at: scale(value), text: format(value) })) };
}

function choiceScale(values: readonly unknown[]): { scale: Scale; ticks: ParallelAxis['ticks'] } {
  const texts = [...new Set(values.map((value) => JSON.stringify(value)))].sort();
  const scale: Scale = (value) =>
    texts.length === 1 ? 0.5 : texts.indexOf(JSON.stringify(value)) / (texts.length - 1);
  return { scale, ticks: texts.map((text) => ({ at: scale(JSON.parse(text)), text })) };
}
