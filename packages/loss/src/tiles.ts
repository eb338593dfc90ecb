/** How the b·B logits of a rank are cut. Legend: b local rows, B global rows. */
export interface Range {
  readonly begin: number;
  readonly size: number;
}

export interface TileSizes {
  readonly rows: number;
  readonly columns: number;
}

export interface TileGrid {
  /** Of [0,b). */
  readonly rows: readonly Range[];
  /** Of [0,B). */
  readonly columns: readonly Range[];
}

/** Logits of a tile, 4 MiB: larger ones are no faster, smaller ones cost calls. */
const TILE_AREA = 2 ** 20;
const TILE_ROWS = 512;

/** One tile while that is small, else tiles of about a million logits. */
export function defaultTileSizes(localRows: number, globalRows: number): TileSizes {
  if (localRows * globalRows <= TILE_AREA) return { rows: localRows, columns: globalRows };
  const rows = Math.min(localRows, TILE_ROWS);
  return { rows, columns: Math.min(globalRows, Math.floor(TILE_AREA / rows)) };
}

/** [0, total) in the fewest ranges of at most `limit`, which differ in size by one at most. */
export function evenRanges(total: number, limit: number): Range[] {
  const count = Math.ceil(total / limit);
  const begin = (i: number) => Math.floor((i * total) / count);
  return Array.from({ length: count }, (_, i) => ({ begin: begin(i), size: begin(i + 1) - begin(i) }));
}

export function tileGrid(
  localRows: number,
  globalRows: number,
  limits: { readonly tileRows?: number; readonly tileColumns?: number },
): TileGrid {
  const { rows, columns } = defaultTileSizes(localRows, globalRows);
  return {
    rows: evenRanges(localRows, limits.tileRows ?? rows),
    columns: evenRanges(globalRows, limits.tileColumns ?? columns),
  };
}

/** The rows of a range, of a matrix that is `width` wide. */
export const rowsOf = (matrix: Float32Array, { begin, size }: Range, width: number): Float32Array =>
  matrix.subarray(begin * width, (begin + size) * width);

/**
 * Goes over the column tiles of one row tile. What it carries from tile to tile has two copies that take turns: a tile
 * reads one and writes the other. Resolves with the one written last.
 */
export async function sweep<T>(
  columns: readonly Range[],
  first: T,
  second: T,
  run: (columns: Range, before: T, after: T) => Promise<unknown>,
): Promise<T> {
  let [before, after] = [first, second];
  for (const tile of columns) {
    await run(tile, before, after);
    [before, after] = [after, before];
  }
  return before;
}

/** Two copies for a sweep, in the order that makes it end in `target`. */
export const endingIn = <T>(target: T, other: T, columns: readonly Range[]): [first: T, second: T] =>
  columns.length % 2 === 0 ? [target, other] : [other, target];
