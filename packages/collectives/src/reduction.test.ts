import { expect, it } from 'vitest';
import { reduceInOrder } from './reduction.js';
import { ScratchPool } from './scratch-pool.js';

it('adds in the order of the parts, rounding each step', () => {
  const parts = [Float32Array.of(2 ** 24), Float32Array.of(1), Float32Array.of(1)];
  const output = new Float32Array(1);
  reduceInOrder(parts, output, 'sum');
  expect(output[0]).toBe(2 ** 24);
  reduceInOrder([parts[1]!, parts[2]!, parts[0]!], output, 'sum');
  expect(output[0]).toBe(2 ** 24 + 2);
});

it.each([0, 1, 2])('writes over part %i, also beyond one block', (into) => {
  const parts = [1, 10, 100].map((value) => new Float32Array(5000).fill(value));
  reduceInOrder(parts, parts[into]!, 'sum');
  expect(parts[into]!.every((value) => value === 111)).toBe(true);
});

it('takes the extremes of integers', () => {
  const parts = [Int32Array.of(1, -5), Int32Array.of(-2, 7)];
  const output = new Int32Array(2);
  reduceInOrder(parts, output, 'max');
  expect([...output]).toEqual([1, 7]);
  reduceInOrder(parts, output, 'min');
  expect([...output]).toEqual([-2, -5]);
});

it('keeps scratch up to its limit and gives the smallest that is large enough', () => {
  const pool = new ScratchPool({ keepBytes: 100 });
  const [small, large, tooMuch] = [pool.take(20), pool.take(80), pool.take(10)];
  for (const buffer of [large, small, tooMuch]) pool.give(buffer!);
  expect(pool.take(15)).toBe(small);
  expect(pool.take(15)).toBe(large);
  expect(pool.take(5)).not.toBe(tooMuch);
});
