import { describe, expect, it } from 'vitest';
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './half.js';
import { CounterRandom } from './random.js';
import { roundStochastically } from './stochastic-rounding.js';

const NEAREST = {
  bf16: (value: number) => fromBfloat16(toBfloat16(value)),
  fp16: (value: number) => fromFloat16(toFloat16(value)),
};
const SPACING = { bf16: 2 ** -7, fp16: 2 ** -10 };

describe.each(['bf16', 'fp16'] as const)('stochastic rounding to %s', (storage) => {
  it('gives numbers of the format, next to the value, the same in parts', () => {
    const values = new CounterRandom(5).fillNormal(new Float32Array(100_000), { std: 0.1 });
    const rounded = values.slice();
    roundStochastically(rounded, storage, new CounterRandom(6), 0);
    const isNumber = (value: number): boolean => NEAREST[storage](value) === value;
    const isNear = (value: number, i: number): boolean =>
      Math.abs(value - values[i]!) <= Math.max(SPACING[storage] * Math.abs(values[i]!), 2 ** -24);
    expect(rounded.every(isNumber)).toBe(true);
    expect(rounded.every(isNear)).toBe(true);
    const part = values.slice(70_000, 80_000);
    roundStochastically(part, storage, new CounterRandom(6), 70_000);
    expect(part).toEqual(rounded.slice(70_000, 80_000));
  });

  it('gives one of the two neighbours, right on average', () => {
    for (const value of [1.001, -0.3, 3e-6, 100.37].map(Math.fround)) {
      const rounded = new Float32Array(20_000).fill(value);
      roundStochastically(rounded, storage, new CounterRandom(1), 0);
      const neighbours = [...new Set(rounded)].sort((a, b) => a - b);
      expect(neighbours).toHaveLength(2);
      const [low, high] = neighbours as [number, number];
      expect(low < value && value < high).toBe(true);
      const mean = rounded.reduce((sum, x) => sum + x, 0) / rounded.length;
      expect(Math.abs(mean - value)).toBeLessThan(0.02 * (high - low));
    }
  });

  it('moves on average where rounding to nearest stands still', () => {
    const step = SPACING[storage] / 20;
    const stochastic = new Float32Array(1024).fill(1);
    let nearest = 1;
    for (let i = 0; i < 200; i++) {
      for (let k = 0; k < stochastic.length; k++) stochastic[k]! += step;
      roundStochastically(stochastic, storage, new CounterRandom(8, i), 0);
      nearest = NEAREST[storage](nearest + step);
    }
    expect(nearest).toBe(1);
    const mean = stochastic.reduce((a, b) => a + b, 0) / stochastic.length;
    expect(mean - 1).toBeGreaterThan(200 * step * 0.98);
    expect(mean - 1).toBeLessThan(200 * step * 1.02);
  });
});
