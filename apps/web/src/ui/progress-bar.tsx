/** `value` 0 to 1; undefined: not known yet. */
export function ProgressBar({ value, label, tone }: { value: number | undefined; label: string; tone?: string }) {
  return (
    <span
      className={`progress${tone === undefined ? '' : ` tone-${tone}`}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(value === undefined ? {} : { 'aria-valuenow': Math.round(100 * value) })}
    >
      <span style={{ inlineSize: `${100 * (value ?? 0)}%` }} />
    </span>
  );
}
