import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, openEngine, rows, tf } from '../index.js';

/** Sums of small integers are exact in any order, so one lost addition shows. */
const ROWS = 20_000;
const WIDTH = 5;
const SEGMENTS = 3;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 2 });
});
afterAll(() => engine.close());

const x = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => ((i * 7919) % 11) - 5);
const segment = Int32Array.from({ length: ROWS }, (_, i) => (i * i + (i >> 3)) % SEGMENTS);
const expected = new Float32Array(SEGMENTS * WIDTH);
for (let row = 0; row < ROWS; row++) {
  for (let k = 0; k < WIDTH; k++) expected[segment[row]! * WIDTH + k]! += x[row * WIDTH + k]!;
}

it('adds every one of thousands of rows with the same index, on two threads', async () => {
  const program = await engine.compile(
    ({ x, segment }) => ({ sums: tf.unsortedSegmentSum(x!, segment as never, SEGMENTS) }),
    { x: { shape: [ROWS, WIDTH] }, segment: { shape: [ROWS], dtype: 'int32' } },
    { name: 'sums' },
  );
  for (let run = 0; run < 10; run++) expect((await program.run({ x, segment })).sums).toEqual(expected);
});

it('so does the gradient of a table whose rows repeat thousands of times', async () => {
  const program = await engine.compile(
    ({ table, segment, x }) => {
      const gradient = tf.grad((t) => tf.sum(tf.mul(rows(t, segment!), x!)))(table!);
      return { gradient };
    },
    { table: { shape: [SEGMENTS, WIDTH] }, segment: { shape: [ROWS], dtype: 'int32' }, x: { shape: [ROWS, WIDTH] } },
    { name: 'gradient of rows' },
  );
  const table = new Float32Array(SEGMENTS * WIDTH);
  for (let run = 0; run < 10; run++) expect((await program.run({ table, segment, x })).gradient).toEqual(expected);
});
