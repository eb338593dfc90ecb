import { describe, expect, it } from 'vitest';
import { CounterRandom } from './random.js';
import { type FloatStorage, storedFloats } from './stored-floats.js';

const HALVES = ['bf16', 'fp16'] as const satisfies FloatStorage[];
/** Relative distance of neighbours. */
const SPACING = { bf16: 2 ** -7, fp16: 2 ** -10 };

const stored = (storage: FloatStorage, values: Float32Array, random = new CounterRandom(1)) => {
  const floats = storedFloats(storage, values.length);
  const scratch = new Float32Array(values.length);
  floats.read(0, values.length, scratch);
  floats.write(0, values, random, 0);
  return floats.read(0, values.length, scratch);
};

describe.each(HALVES)('floats kept in %s', (storage) => {
  it('come back within the distance of neighbours, whatever their size', () => {
    const values = new CounterRandom(2).fillNormal(new Float32Array(4096));
    for (let block = 0; block < 256; block++) {
      const scale = 10 ** ((block % 60) - 30);
      for (let i = 0; i < 16; i++) values[block * 16 + i]! *= scale;
    }
    const back = stored(storage, values);
    for (let block = 0; block < 256; block++) {
      const largest = Math.max(...values.subarray(block * 16, block * 16 + 16).map(Math.abs));
      for (let i = block * 16; i < block * 16 + 16; i++) {
        const error = Math.abs(back[i]! - values[i]!);
        // A block of fp16 has one exponent: what is far smaller than its largest is kept less well.
        const floor = storage === 'fp16' ? largest * 2 ** -38 : 0;
        expect(error).toBeLessThanOrEqual(Math.max(SPACING[storage] * Math.abs(values[i]!), floor));
      }
    }
  });

  it('are unbiased, and what they hold exactly stays', () => {
    const values = new Float32Array(16).fill(1 + SPACING[storage] / 4);
    let sum = 0;
    for (let draw = 0; draw < 4000; draw++) sum += stored(storage, values, new CounterRandom(draw))[5]!;
    expect(sum / 4000 - 1).toBeGreaterThan(SPACING[storage] * 0.22);
    expect(sum / 4000 - 1).toBeLessThan(SPACING[storage] * 0.28);
    const exact = Float32Array.of(0, 1, -1, 0.5, 3, -0.75, 2 ** -9, 1.5, 0, 0, 0, 0, 1, 1, 1, 1);
    expect([...stored(storage, exact)]).toEqual([...exact]);
  });

  it('keep what is not finite', () => {
    const values = new Float32Array(16);
    values.set([Number.NaN, Infinity, -Infinity, 1]);
    const back = stored(storage, values);
    expect([...back.subarray(0, 4)]).toEqual([Number.NaN, Infinity, -Infinity, 1]);
  });

  it('grow by steps that rounding to nearest would lose', () => {
    const floats = storedFloats(storage, 16);
    const scratch = new Float32Array(16);
    floats.write(0, new Float32Array(16).fill(1), new CounterRandom(0), 0);
    const step = SPACING[storage] / 16;
    for (let i = 0; i < 1600; i++) {
      const values = floats.read(0, 16, scratch);
      for (let k = 0; k < 16; k++) values[k]! += step;
      floats.write(0, values, new CounterRandom(7, i), 0);
    }
    const mean = floats.read(0, 16, scratch).reduce((a, b) => a + b, 0) / 16;
    expect(mean - 1).toBeGreaterThan(1600 * step * 0.85);
    expect(mean - 1).toBeLessThan(1600 * step * 1.15);
  });
});

it('takes half the memory in bf16, and a 32nd of that more in fp16', () => {
  expect(HALVES.map((storage) => storedFloats(storage, 4096).bytes)).toEqual([8192, 8448]);
});
