/** How the b·B logits of a rank are cut. Legend: b local rows, B global rows. */
export interface Range {
  readonly begin: number;
  readonly size: number;
}

export interface TileSizes {
  readonly rows: number;
  readonly columns: number;
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
