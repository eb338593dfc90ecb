import { describe, expect, it } from 'vitest';
import { philox } from './philox.js';
import { MAX_BLOCKS, philoxBlocks, scalarPhiloxBlocks } from './philox-blocks.js';

const COUNTS = [1, 3, 4, 5, 1023, MAX_BLOCKS];
const COUNTERS: [number, number, number, number, number, number][] = [
  [0, 0, 0, 0, 0, 0],
  [0xffffffff, 0xffffffff, 0x7ffffffe, 0xffffffff, 0xffffffff, 0xffffffff],
  [0xa4093822, 0x299f31d0, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
  [1, 2, 2 ** 32 - MAX_BLOCKS, 0x80000000, 7, 0],
];

describe.each([
  ['vectors', philoxBlocks],
  ['one at a time', scalarPhiloxBlocks],
])('blocks of Philox by %s', (_, make) => {
  it.each(COUNTERS)('are those of the generator for key %i %i, counter %i %i %i %i', (k0, k1, c0, c1, c2, c3) => {
    const blocks = make();
    for (const count of COUNTS) {
      const words = blocks.words(count, k0, k1, c0, c1, c2, c3);
      expect(words).toHaveLength(4 * count);
      for (let i = 0; i < count; i++) {
        const expected = philox([k0, k1], [c0 + i, c1, c2, c3]);
        if (expected.some((word, j) => words[4 * i + j] !== word))
          expect(words.slice(4 * i, 4 * i + 4), `block ${i} of ${count}`).toEqual(Uint32Array.from(expected));
      }
    }
  });
});

it('uses vectors where WebAssembly has them, as it has here', () => {
  expect(philoxBlocks().words.toString()).not.toBe(scalarPhiloxBlocks().words.toString());
});
