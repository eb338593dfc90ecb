import type { Program } from '@clipyard/engine';
import type { Range, TileGrid } from './tiles.js';

const keyOf = (rows: number, columns: number): string => `${rows}x${columns}`;

/** One set of programs for each shape of tile: four shapes at most. */
export class TilePrograms<T extends Readonly<Record<string, Program>>> {
  private constructor(private readonly byShape: ReadonlyMap<string, T>) {}

  static async compile<T extends Readonly<Record<string, Program>>>(
    grid: TileGrid,
    compile: (rows: number, columns: number, shape: string) => Promise<T>,
  ): Promise<TilePrograms<T>> {
    const byShape = new Map<string, T>();
    for (const { size: rows } of grid.rows) {
      for (const { size: columns } of grid.columns) {
        const key = keyOf(rows, columns);
        if (!byShape.has(key)) byShape.set(key, await compile(rows, columns, key));
      }
    }
    return new TilePrograms(byShape);
  }

  of(rows: Range, columns: Range): T {
    return this.byShape.get(keyOf(rows.size, columns.size))!;
  }

  async dispose(): Promise<void> {
    for (const programs of this.byShape.values()) {
      for (const program of Object.values(programs)) await program.dispose();
    }
  }
}
