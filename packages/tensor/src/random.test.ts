import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { feistelPermutation } from './permutation.js';
import { philox } from './philox.js';
import { CounterRandom } from './random.js';

describe('philox', () => {
  // The known answers of the authors' Random123 distribution, tests/kat_vectors, philox4x32 with 10 rounds.
  it.each([
    [
      [0, 0],
      [0, 0, 0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0xa4093822, 0x299f31d0],
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('gives the published words for key %j', (key, counter, words) => {
    expect(philox(key, counter)).toEqual(words);
  });
});

describe('CounterRandom', () => {
  it('gives the same value at an index whatever was drawn before', () => {
    const forwards = new CounterRandom(7, 3);
    const expected = Array.from({ length: 64 }, (_, i) => forwards.uint32At(i));
    const backwards = new CounterRandom(7, 3);
    for (let i = 63; i >= 0; i--) expect(backwards.uint32At(i)).toBe(expected[i]);
    expect(new CounterRandom(7, 3).fillNormal(new Float32Array(4), { offset: 13 })[2]).toBe(
      Math.fround(forwards.normalAt(15)),
    );
  });

  it('keeps seeds, streams and indices beyond 32 bits apart', () => {
    const values = [
      new CounterRandom(1, 1).uint32At(0),
      new CounterRandom(1 + 2 ** 32, 1).uint32At(0),
      new CounterRandom(1, 1 + 2 ** 32).uint32At(0),
      new CounterRandom(1, 1).uint32At(2 ** 34),
      new CounterRandom(2, 1).uint32At(0),
      new CounterRandom(1, 2).uint32At(0),
    ];
    expect(new Set(values).size).toBe(values.length);
  });

  it('has the moments of the uniform and the normal distribution', () => {
    const n = 100_000;
    const moments = (values: Float64Array) => {
      const mean = values.reduce((sum, x) => sum + x, 0) / n;
      return { mean, variance: values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n };
    };
    const uniform = moments(new CounterRandom(1).fillUniform(new Float64Array(n), { low: -1, high: 3 }));
    expect(uniform.mean).toBeCloseTo(1, 1);
    expect(uniform.variance).toBeCloseTo(16 / 12, 1);
    const normal = new CounterRandom(2).fillNormal(new Float64Array(n), { mean: 2, std: 0.5 });
    expect(moments(normal).mean).toBeCloseTo(2, 2);
    expect(moments(normal).variance).toBeCloseTo(0.25, 2);
    // 95% within 1.96 standard deviations: the shape, not only the moments.
    expect(normal.filter((x) => Math.abs(x - 2) < 0.98).length / n).toBeCloseTo(0.95, 2);
  });

  it('fills with the values at the indices, wherever it begins and ends', () => {
    const random = new CounterRandom(5 + 2 ** 40, 3 + 2 ** 33);
    for (const offset of [0, 1, 2, 3, 5, 2 ** 34 - 6, 2 ** 34 - 4097, 2 ** 50 + 1]) {
      for (const length of [0, 1, 2, 3, 7, 4095, 4096, 4099, 8200]) {
        const normal = random.fillNormal(new Float64Array(length), { mean: 0.1, std: 0.3, offset });
        const uniform = random.fillUniform(new Float64Array(length), { low: -0.3, high: 0.2, offset });
        const at = (f: (index: number) => number) => Float64Array.from({ length }, (_, i) => f(offset + i));
        const expected = [
          at((i) => 0.1 + 0.3 * random.normalAt(i)),
          at((i) => -0.3 + (0.2 - -0.3) * random.uniformAt(i)),
        ];
        // By bytes: an element is compared by toEqual a thousand times slower.
        for (const [i, values] of [normal, uniform].entries())
          expect(Buffer.from(values.buffer).equals(Buffer.from(expected[i]!.buffer)), `${offset} ${length}`).toBe(true);
      }
    }
  });

  it('fills with the same bits as ever', () => {
    const sum = (values: Float32Array) => createHash('sha256').update(values).digest('hex').slice(0, 16);
    const random = new CounterRandom(5, 9);
    expect(sum(random.fillUniform(new Float32Array(100_001), { low: -0.03, high: 0.03 }))).toBe('42153edd6be0a9a0');
    expect(sum(random.fillNormal(new Float32Array(100_001), { std: 0.02 }))).toBe('00eede4727544167');
  });

  it('stays below 1 in float32', () => {
    const values = new CounterRandom(3).fillUniform(new Float32Array(100_000));
    expect(values.every((x) => x >= 0 && x < 1)).toBe(true);
  });
});

describe('feistelPermutation', () => {
  it.each([1, 2, 3, 7, 64, 65, 1000, 4097])('is a bijection of [0, %i)', (n) => {
    const permute = feistelPermutation(n, [1, 2]);
    const images = Array.from({ length: n }, (_, i) => permute(i));
    expect([...images].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
  });

  it('differs by key and leaves few points fixed', () => {
    const a = feistelPermutation(1000, [1, 2]);
    const b = feistelPermutation(1000, [1, 3]);
    const indices = Array.from({ length: 1000 }, (_, i) => i);
    expect(indices.filter((i) => a(i) === b(i)).length).toBeLessThan(10);
    expect(indices.filter((i) => a(i) === i).length).toBeLessThan(10);
  });

  it('stays in range beyond 32 bits', () => {
    const n = 2 ** 40 + 7;
    const permute = feistelPermutation(n, [5, 6]);
    const images = Array.from({ length: 1000 }, (_, i) => permute(n - 1 - i));
    expect(new Set(images).size).toBe(1000);
    expect(images.every((x) => Number.isSafeInteger(x) && x >= 0 && x < n)).toBe(true);
    expect(images.some((x) => x > 2 ** 33)).toBe(true);
  });
});
