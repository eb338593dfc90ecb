import type { Group } from '@clipyard/contracts';
import type { Buffers, Engine } from '@clipyard/engine';
import { allName, type NormQuantity, ownName } from './global-norm-programs.js';

/** Two quantities [c] of a norm. */
interface NormValues {
  /** Where the program writes those of a micro-batch, and reads those of all. */
  readonly own: readonly [Float32Array, Float32Array];
  readonly all: readonly [Float32Array, Float32Array];
  /** Over the micro-batches so far, one quantity after the other. */
  readonly sums: Float64Array;
}

/**
 * Averages over all micro-batches of the global batch, which have equally many rows each: of the means and variances of
 * norms, or of the two means that their gradients take. In float64 and in the order of micro-batches and ranks, so that a
 * rerun has the same bits and the difference of squares of the total variance loses none that float32 has.
 */
export class NormAverages {
  private readonly values: ReadonlyMap<string, NormValues>;

  constructor(
    engine: Engine,
    private readonly quantities: readonly ['mean', 'variance'] | readonly ['cotangent', 'product'],
    channels: ReadonlyMap<string, number>,
  ) {
    const pair = (c: number) => [engine.allocate('float32', c), engine.allocate('float32', c)] as const;
    this.values = new Map(
      [...channels].map(([norm, c]) => [norm, { own: pair(c), all: pair(c), sums: new Float64Array(2 * c) }]),
    );
  }

  /** Where programs write a micro-batch's. */
  outputs(norms: readonly string[]): Buffers {
    return this.named(norms, ownName, ({ own }) => own);
  }

  /** What programs read, all rows' after `exchange`. */
  inputs(norms: readonly string[]): Buffers {
    return this.named(norms, allName, ({ all }) => all);
  }

  /** All rows' values of a norm, likewise. */
  of(norm: string): readonly [Float32Array, Float32Array] {
    return this.values.get(norm)!.all;
  }

  /** Takes what a micro-batch has written. */
  add(norms: readonly string[]): void {
    for (const norm of norms) {
      const { own, sums } = this.values.get(norm)!;
      const [first, second] = own;
      const c = first.length;
      for (let i = 0; i < c; i++) {
        sums[i]! += first[i]!;
        sums[c + i]! += this.ofVariances ? second[i]! + first[i]! ** 2 : second[i]!;
      }
    }
  }

  /** On all ranks together: the averages over `count` micro-batches, those of all ranks; what was added is forgotten. */
  async exchange(norms: readonly string[], count: number, group: Group, signal: AbortSignal): Promise<void> {
    const parts = norms.map((norm) => this.values.get(norm)!);
    const sums = new Float64Array(parts.reduce((total, part) => total + part.sums.length, 0));
    let at = 0;
    for (const part of parts) {
      sums.set(part.sums, at);
      part.sums.fill(0);
      at += part.sums.length;
    }
    if (group.worldSize > 1) await group.allReduce(sums, 'sum', { signal });
    at = 0;
    for (const { all } of parts) {
      const [first, second] = all;
      const c = first.length;
      for (let i = 0; i < c; i++) {
        const [a, b] = [sums[at + i]! / count, sums[at + c + i]! / count];
        first[i] = a;
        second[i] = this.ofVariances ? Math.max(0, b - a ** 2) : b;
      }
      at += 2 * c;
    }
  }

  private get ofVariances(): boolean {
    return this.quantities[1] === 'variance';
  }

  private named(
    norms: readonly string[],
    nameOf: (quantity: NormQuantity, norm: string) => string,
    select: (values: NormValues) => readonly [Float32Array, Float32Array],
  ): Buffers {
    const [first, second] = this.quantities;
    return Object.fromEntries(
      norms.flatMap((norm) => {
        const pair = select(this.values.get(norm)!);
        return [
          [nameOf(first, norm), pair[0]],
          [nameOf(second, norm), pair[1]],
        ];
      }),
    );
  }
}
