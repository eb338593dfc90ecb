/** A metric over steps, as columns of equal length; an entry stands for one point or for a bucket of them. */
export interface Series {
  readonly name: string;
  readonly step: readonly number[];
  readonly mean: readonly number[];
  readonly min: readonly number[];
  readonly max: readonly number[];
  /** Steps that an entry stands for at most; unset: one. */
  readonly bucketSteps?: number;
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
    ...base,
    step: [...base.step.slice(0, upTo), ...steps],
    mean: [...base.mean.slice(0, upTo), ...values],
    min: [...base.min.slice(0, upTo), ...values],
    max: [...base.max.slice(0, upTo), ...values],
  };
}
