import { expect, it } from 'vitest';
import { addInto, hasNonFinite, scaleInPlace, sumOfSquares } from './accumulate.js';

it('adds and scales in place', () => {
  const target = Float32Array.of(1, 2, 3);
  addInto(target, Float32Array.of(10, 20, 30));
  scaleInPlace(target, 0.5);
  expect([...target]).toEqual([5.5, 11, 16.5]);
  expect(() => addInto(target, new Float32Array(2))).toThrow(/equally long/);
});

it('adds squares in float64, where float32 would lose them', () => {
  const values = new Float32Array(20_000_001).fill(1);
  values[0] = 4096;
  // In float32 the running sum stops at 2^24 + 2^24 = 33,554,432, where adding 1 no longer changes it.
  expect(sumOfSquares(values)).toBe(4096 ** 2 + 20_000_000);
});

it.each([Number.NaN, Infinity, -Infinity])('finds %d', (value) => {
  const values = new Float32Array(100).fill(3e38);
  expect(hasNonFinite(values)).toBe(false);
  values[99] = value;
  expect(hasNonFinite(values)).toBe(true);
});
