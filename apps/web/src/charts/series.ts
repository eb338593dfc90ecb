import type { MetricPoint } from '@clipyard/contracts';

/** A metric over steps, as columns of equal length; an entry stands for one point or for a bucket of them. */
export interface Series {
  readonly name: string;
  readonly step: readonly number[];
  readonly mean: readonly number[];
  readonly min: readonly number[];
  readonly max: readonly number[];
}

/** Points by name; of several at one step the last counts. */
export function toSeries(points: readonly Pick<MetricPoint, 'name' | 'step' | 'value'>[]): Series[] {
  const byName = new Map<string, Map<number, number>>();
  for (const { name, step, value } of points) {
    let values = byName.get(name);
    if (values === undefined) byName.set(name, (values = new Map()));
    values.set(step, value);
  }
  return [...byName].map(([name, values]) => {
    const entries = [...values].sort(([a], [b]) => a - b);
    const mean = entries.map(([, value]) => value);
    return { name, step: entries.map(([step]) => step), mean, min: mean, max: mean };
  });
}

/** At most `count` entries: buckets of equal numbers of neighbours, each with its least, greatest and mean value. */
export function bucketed(series: Series, count: number): Series {
  const { length } = series.step;
  if (length <= count) return series;
  const step: number[] = [];
  const mean: number[] = [];
  const min: number[] = [];
  const max: number[] = [];
  for (let bucket = 0; bucket < count; bucket++) {
    const from = Math.floor((bucket * length) / count);
    const to = Math.floor(((bucket + 1) * length) / count);
    const size = to - from;
    step.push(series.step[to - 1]!);
    mean.push(series.mean.slice(from, to).reduce((sum, value) => sum + value / size, 0));
    min.push(Math.min(...series.min.slice(from, to)));
    max.push(Math.max(...series.max.slice(from, to)));
  }
  return { name: series.name, step, mean, min, max };
}

/** The series with live values after its end. A value at a step that is there already replaces it. */
export function extended(
  series: Series | undefined,
  name: string,
  live: readonly (readonly [number, number])[],
): Series {
  const base = series ?? { name, step: [], mean: [], min: [], max: [] };
  const first = live[0]?.[0];
  if (first === undefined) return base;
  const keep = base.step.findIndex((step) => step >= first);
  const upTo = keep === -1 ? base.step.length : keep;
  const steps = live.map(([step]) => step);
  const values = live.map(([, value]) => value);
  return {
    name,
    step: [...base.step.slice(0, upTo), ...steps],
    mean: [...base.mean.slice(0, upTo), ...values],
    min: [...base.min.slice(0, upTo), ...values],
    max: [...base.max.slice(0, upTo), ...values],
  };
}
