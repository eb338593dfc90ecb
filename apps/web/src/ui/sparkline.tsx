const WIDTH = 96;
const HEIGHT = 24;

/** The course of a few values, without axes. */
export function Sparkline({ values, label }: { values: readonly number[]; label: string }) {
  if (values.length < 2) return <span className="sparkline" aria-hidden="true" />;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const x = (i: number) => ((WIDTH - 2) * i) / (values.length - 1) + 1;
  const y = (value: number) => HEIGHT - 2 - ((HEIGHT - 4) * (value - low)) / span;
  const points = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  return (
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      <polyline points={points} />
      <circle cx={x(values.length - 1)} cy={y(values.at(-1)!)} r="1.8" />
    </svg>
  );
}
