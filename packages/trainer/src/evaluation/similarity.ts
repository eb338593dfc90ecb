import { type Engine, tf } from '@clipyard/engine';

const TILE_ROWS = 64;
/** Candidates that are compared at once. */
const TILE_COLUMNS = 4096;

export interface SimilarityOptions {
  /** Rows of length 1, [q,D]. */
  readonly queries: Float32Array;
  /** Rows of length 1, [k,D]. */
  readonly candidates: Float32Array;
  /** D. */
  readonly dimension: number;
}

/**
 * Calls `visit(query, similarities)` for each query with its cosine similarity to every candidate, [k]; the array is
 * used again between calls. Holds 64·k similarities at once.
 */
export async function forEachSimilarity(
  engine: Engine,
  { queries, candidates, dimension }: SimilarityOptions,
  visit: (query: number, similarities: Float32Array) => void,
): Promise<void> {
  const count = queries.length / dimension;
  const columns = candidates.length / dimension;
  if (count === 0 || columns === 0) return;
  const width = Math.min(columns, TILE_COLUMNS);
  const program = await engine.compile(
    ({ a, b }) => ({ similarities: tf.matMul(a!, b!, false, true) }),
    { a: { shape: [TILE_ROWS, dimension] }, b: { shape: [width, dimension] } },
    { name: 'similarity' },
  );
  try {
    const a = new Float32Array(TILE_ROWS * dimension);
    const b = new Float32Array(width * dimension);
    const tile = new Float32Array(TILE_ROWS * columns);
    for (let first = 0; first < count; first += TILE_ROWS) {
      const rows = Math.min(TILE_ROWS, count - first);
      a.fill(0).set(queries.subarray(first * dimension, (first + rows) * dimension));
      for (let column = 0; column < columns; column += width) {
        const used = Math.min(width, columns - column);
        b.fill(0).set(candidates.subarray(column * dimension, (column + used) * dimension));
        const similarities = (await program.run({ a, b })).similarities as Float32Array;
        for (let row = 0; row < rows; row++) {
          tile.set(similarities.subarray(row * width, row * width + used), row * columns + column);
        }
      }
      for (let row = 0; row < rows; row++) visit(first + row, tile.subarray(row * columns, (row + 1) * columns));
    }
  } finally {
    await program.dispose();
  }
}
