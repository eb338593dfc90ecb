import assert from 'node:assert';

export interface NamedShape {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface FlatTensor extends NamedShape {
  /** Index of the first element in the flat buffer. */
  readonly offset: number;
  /** Number of elements. */
  readonly size: number;
}

/** Every tensor begins at a multiple of this many floats: 64 bytes, a cache line and an AVX-512 register. */
export const FLAT_ALIGNMENT = 16;

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/** Where each of an ordered list of float32 tensors lies in one flat buffer; the gaps between them stay zero. */
export class FlatLayout {
  readonly tensors: readonly FlatTensor[];
  /** Length of the buffer in elements, gaps included; a multiple of `FLAT_ALIGNMENT`. */
  readonly total: number;
  /** Number of elements that belong to tensors. */
  readonly elements: number;
  readonly #byName: ReadonlyMap<string, FlatTensor>;

  constructor(shapes: readonly NamedShape[]) {
    let end = 0;
    let elements = 0;
    this.tensors = shapes.map(({ name, shape }) => {
      assert(
        shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0),
        `${name}: dimensions are non-negative integers`,
      );
      const size = shape.reduce((product, dimension) => product * dimension, 1);
      const tensor = { name, shape, offset: end, size };
      end = roundUp(end + size, FLAT_ALIGNMENT);
      elements += size;
      return tensor;
    });
    this.total = end;
    this.elements = elements;
    this.#byName = new Map(this.tensors.map((tensor) => [tensor.name, tensor]));
    assert(this.#byName.size === shapes.length, 'names are unique');
  }

  get names(): string[] {
    return this.tensors.map(({ name }) => name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  tensor(name: string): FlatTensor {
    const tensor = this.#byName.get(name);
    assert(tensor !== undefined, `the layout has no tensor ${name}`);
    return tensor;
  }

  offset(name: string): number {
    return this.tensor(name).offset;
  }

  size(name: string): number {
    return this.tensor(name).size;
  }

  shape(name: string): readonly number[] {
    return this.tensor(name).shape;
  }

  /** The part of `buffer` that holds the tensor, not a copy. `buffer` has at least `total` elements. */
  view(buffer: Float32Array, name: string): Float32Array {
    assert(buffer.length >= this.total, `the buffer has ${buffer.length} elements, the layout needs ${this.total}`);
    const { offset, size } = this.tensor(name);
    return buffer.subarray(offset, offset + size);
  }

  /** All tensors by name, in order, as views of `buffer`. */
  views(buffer: Float32Array): Record<string, Float32Array> {
    return Object.fromEntries(this.tensors.map(({ name }) => [name, this.view(buffer, name)]));
  }

  /** Length of a buffer that `worldSize` ranks share in equal, aligned parts; at least `total`. */
  paddedTotal(worldSize: number): number {
    assert(Number.isSafeInteger(worldSize) && worldSize >= 1, 'the world size is a positive integer');
    return roundUp(this.total, FLAT_ALIGNMENT * worldSize);
  }

  /** The part [start, end) of a buffer of `paddedTotal(worldSize)` elements that `rank` owns; all parts are equally long. */
  shard(rank: number, worldSize: number): { start: number; end: number } {
    assert(Number.isSafeInteger(rank) && rank >= 0 && rank < worldSize, 'the rank lies in [0, world size)');
    const length = this.paddedTotal(worldSize) / worldSize;
    return { start: rank * length, end: (rank + 1) * length };
  }
}
