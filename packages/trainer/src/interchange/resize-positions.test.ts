import { readFileSync } from 'node:fs';
import { expectAllClose, formulaValues } from '@clipyard/testkit';
import { expect, it } from 'vitest';
import { resizeGrid, resizeLine } from './resize-positions.js';

interface Fixture {
  readonly width: number;
  readonly cases: {
    readonly kind: 'grid' | 'line';
    readonly before: number;
    readonly after: number;
    readonly rows: [number, number];
    readonly values: number[];
  }[];
}

const { width, cases }: Fixture = JSON.parse(
  readFileSync(new URL('./fixtures/positions-torch.json', import.meta.url), 'utf8'),
);
/** Of long results the fixture has so many rows from the beginning, and as many from the end. */
const SHOWN = 30;

it.each(cases)('resamples a $kind of $before positions to $after as open_clip does', (given) => {
  const { kind, before, after, values } = given;
  const count = kind === 'grid' ? before * before + 1 : before;
  const rows = formulaValues(`positions.${kind}.${before}`, count * width);
  let result = kind === 'line' ? resizeLine(rows, width, before, after) : new Float32Array(given.rows[0] * width);
  if (kind === 'grid') {
    result.set(rows.subarray(0, width));
    result.set(resizeGrid(rows.subarray(width), width, before, after), width);
  }
  expect(result).toHaveLength(given.rows[0] * given.rows[1]);
  if (result.length > values.length)
    result = Float32Array.of(...result.subarray(0, SHOWN * width), ...result.subarray(-SHOWN * width));
  expectAllClose(result, values, { atol: 1e-6, rtol: 1e-5 });
});

it('leaves what has the same number of positions as it is', () => {
  const rows = formulaValues('same', 16 * width);
  expectAllClose(resizeGrid(rows, width, 4, 4), rows, { atol: 1e-7, rtol: 0 });
  expectAllClose(resizeLine(rows, width, 16, 16), rows, { atol: 1e-7, rtol: 0 });
});
