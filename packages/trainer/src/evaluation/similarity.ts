import { type Engine, type Program, tf } from '@clipyard/engine';

const TILE_ROWS = 64;

/**
 * Calls `visit(row, similarities)` for each of the rows [start, end) of `a` with its cosine similarity to every row of
 * `b`. Both hold rows of length 1, [n,D] and [k,D]; the similarities are reused between calls.
 */
export async function forEachSimilarity(
  engine: Engine,
  options: { a: Float32Array; b: Float32Array; dimension: number; start: number; end: number },
  visit: (row: number, similarities: Float32Array) => void,
): Promise<void> {
  const { a, b, dimension, start, end } = options;
  const columns = b.length / dimension;
  let program: Program | undefined;
  const padded = new Float32Array(TILE_ROWS * dimension);
  for (let first = start; first < end; first += TILE_ROWS) {
    program ??= await engine.compile(
      ({ a, b }) => ({ similarities: tf.matMul(a!, b!, false, true) }),
      { a: { shape: [TILE_ROWS, dimension] }, b: { shape: [columns, dimension] } },
      { name: 'similarity' },
    );
    const last = Math.min(end, first + TILE_ROWS);
    padded.fill(0);
    padded.set(a.subarray(first * dimension, last * dimension));
    const { similarities } = await program.run({ a: padded, b });
    for (let row = first; row < last; row++) {
      visit(row, (similarities as Float32Array).subarray((row - first) * columns, (row - first + 1) * columns));
    }
  }
  await program?.dispose();
}
