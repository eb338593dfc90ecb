import { describe, expect, it } from 'vitest';
import { fromBfloat16, fromFloat16, narrowToBfloat16, narrowToFloat16, toBfloat16, toFloat16 } from './half.js';
import { CounterRandom } from './random.js';

const allPatterns = Uint16Array.from({ length: 65536 }, (_, i) => i);

describe.each([
  { name: 'bf16', to: toBfloat16, from: fromBfloat16 },
  { name: 'fp16', to: toFloat16, from: fromFloat16 },
])('$name', ({ to, from }) => {
  it('round-trips every bit pattern that is not NaN', () => {
    for (const pattern of allPatterns) {
      const value = from(pattern);
      if (!Number.isNaN(value)) expect(to(value)).toBe(pattern);
      else expect(from(to(value))).toBeNaN();
    }
  });

  it('rounds to the nearest of its neighbours, ties to even', () => {
    for (let pattern = 0; from(pattern + 1) < 65504; pattern += 7) {
      const low = from(pattern);
      const high = from(pattern + 1);
      const middle = (low + high) / 2;
      const even = pattern % 2 === 0 ? pattern : pattern + 1;
      if (Math.fround(middle) !== middle) continue;
      expect(to(middle)).toBe(even);
      expect(to(-middle)).toBe(even | 0x8000);
      const quarter = low + (high - low) / 4;
      if (Math.fround(quarter) === quarter) expect(to(quarter)).toBe(pattern);
    }
  });
});

describe('known values', () => {
  it('agree with the formats', () => {
    expect(fromFloat16(0x3c00)).toBe(1);
    expect(fromFloat16(0x7bff)).toBe(65504);
    expect(fromFloat16(0x0001)).toBe(2 ** -24);
    expect(toFloat16(65519)).toBe(0x7bff);
    expect(toFloat16(65520)).toBe(0x7c00);
    expect(toFloat16(-1e9)).toBe(0xfc00);
    expect(toFloat16(2 ** -25)).toBe(0);
    expect(toFloat16(2 ** -25 * 1.5)).toBe(1);
    expect(fromBfloat16(0x3f80)).toBe(1);
    expect(toBfloat16(1 + 2 ** -8)).toBe(0x3f80);
    expect(toBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(toBfloat16(3.4e38)).toBe(0x7f80);
  });

  it('convert arrays as they convert numbers', () => {
    const source = new CounterRandom(4).fillNormal(new Float32Array(257));
    const target = new Uint16Array(257);
    expect([...narrowToBfloat16(source, target)]).toEqual(Array.from(source, (x) => toBfloat16(x)));
    expect([...narrowToFloat16(source, target)]).toEqual(Array.from(source, (x) => toFloat16(x)));
  });
});
