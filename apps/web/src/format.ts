/** A duration in its two largest units: `3 h 12 min`, `45 s`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** A duration in one unit, for narrow columns: `3 h`. */
export const formatAge = (ms: number): string =>
  ms < 1000 ? 'now' : formatDuration(ms).split(' ').slice(0, 2).join(' ');

/** Four significant digits, without an exponent where that stays readable. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-4) return value.toExponential(2).replace('e+', 'e');
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(4)));
}

export const formatCount = (value: number): string => value.toLocaleString('en-US');

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export const formatPercent = (share: number): string => `${(100 * share).toFixed(1)}%`;

/** Whether a metric is a share, 0 to 1, that people read in percent. */
export const isShare = (name: string): boolean =>
  /^batch\/accuracy|^health\/duplicates\/|\/(accuracy|top\d+|r\d+|mean_per_class|seen|unseen|shots_\d+)$/.test(name);

export const formatMetric = (name: string, value: number): string =>
  isShare(name) ? formatPercent(value) : formatValue(value);

export const formatTime = (iso: string): string =>
  new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
