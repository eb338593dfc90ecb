import type { Engine } from '@clipyard/engine';

/** Named numbers of the rows of one tile, as [R,n] that programs take on from tile to tile; two copies, to take turns. */
export class RowStatistics<Name extends string> {
  private readonly copies: readonly [Float32Array, Float32Array];
  private readonly start: Float32Array;

  constructor(
    engine: Engine,
    readonly names: readonly Name[],
    mostRows: number,
    /** Values before the first tile; 0 where none is given. */
    start: Partial<Record<Name, number>>,
  ) {
    const length = mostRows * names.length;
    this.copies = [engine.allocate('float32', length), engine.allocate('float32', length)];
    this.start = Float32Array.from(names, (name) => start[name] ?? 0);
  }

  /** The copies for so many rows, the first with the values before the first tile. */
  begin(rows: number): readonly [Float32Array, Float32Array] {
    const width = this.names.length;
    const [first, second] = this.copies;
    for (let row = 0; row < rows; row++) first.set(this.start, row * width);
    return [first.subarray(0, rows * width), second.subarray(0, rows * width)];
  }

  /** The numbers of one row, by name. */
  read(values: Float32Array, row: number): Record<Name, number> {
    const first = row * this.names.length;
    return Object.fromEntries(this.names.map((name, i) => [name, values[first + i]])) as Record<Name, number>;
  }
}
