import uPlot from 'uplot';
import type { Series } from './series.js';
import { smooth } from './smooth.js';

/** One metric of one run in a chart. */
export interface Line {
  /** Of the run. */
  readonly key: string;
  /** Of the metric. */
  readonly name: string;
  readonly label: string;
  /** Number of the colour. */
  readonly colour: number;
  readonly series: Series;
}

/** Columns of a line: what is drawn, the values before smoothing, least and greatest of each bucket. */
export const COLUMNS_OF_A_LINE = 4;

/** The columns of a chart: steps, then those of each line. */
export function chartData(lines: readonly Line[], smoothing: number, log: boolean): uPlot.AlignedData {
  // Neither zero nor less is on a logarithmic axis.
  const drawable = (values: readonly number[]) =>
    log ? values.map((value) => (value > 0 ? value : null)) : [...values];
  const tables = lines.map(({ series }) => {
    const { step, mean, min, max } = series;
    return [[...step], ...[smooth(mean, smoothing), mean, min, max].map(drawable)] as uPlot.AlignedData;
  });
  if (tables.length === 0) return [[]];
  return tables.length === 1 ? tables[0]! : uPlot.join(tables);
}
