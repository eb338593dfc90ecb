import { expect, test } from 'vitest';
import { formatAge, formatBytes, formatDuration, formatMetric, formatValue } from './format.js';

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [59_600, '1 min'],
  [61_000, '1 min 1 s'],
  [3_600_000, '1 h'],
  [90_061_000, '1 d 1 h'],
  [Number.POSITIVE_INFINITY, '–'],
])('a duration of %d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test('an age has one unit', () => {
  expect(formatAge(200)).toBe('now');
  expect(formatAge(7_500_000)).toBe('2 h');
});

test.each([
  [0, '0'],
  [1234.5, '1,235'],
  [0.123456, '0.1235'],
  [0.00001234, '1.23e-5'],
  [2.5e12, '2.50e12'],
  [-Math.PI, '-3.142'],
])('the value %d is %s', (value, text) => expect(formatValue(value)).toBe(text));

test('shares are read in percent', () => {
  expect(formatMetric('eval/zeroshot/top1', 0.9425)).toBe('94.3%');
  expect(formatMetric('eval/retrieval/image_to_text/mean_rank', 1.25)).toBe('1.25');
});

test('bytes have binary units', () => {
  expect(formatBytes(512)).toBe('512 B');
  expect(formatBytes(3_690_000)).toBe('3.5 MiB');
});
