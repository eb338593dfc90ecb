import { expect, it } from 'vitest';
import { addInto } from './accumulate.js';

it('adds in place, and only what is equally long', () => {
  const target = Float32Array.of(1, 2, 3);
  addInto(target, Float32Array.of(10, 20, 30));
  expect([...target]).toEqual([11, 22, 33]);
  expect(() => addInto(target, new Float32Array(2))).toThrow(/equally long/);
});
