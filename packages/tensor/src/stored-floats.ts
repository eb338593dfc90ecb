import assert from 'node:assert';
import { FLAT_ALIGNMENT } from './flat-layout.js';
import type { CounterRandom } from './random.js';
import { narrowBfloat16, narrowFloat16, randomBits, wideFloat16, wordsOf } from './stochastic-rounding.js';

export type FloatStorage = 'fp32' | 'bf16' | 'fp16';

/**
 * A long array of floats kept in 32 or 16 bits and worked on in float32, a piece at a time. 16 bits are rounded
 * stochastically (Gupta et al., arXiv 1502.02551): what is too small a change for them is made now and then instead of
 * never. fp16 has an exponent for every `FLAT_ALIGNMENT` elements (dynamic scaling, as Dhariwal et al., arXiv 2005.00341,
 * for Adam's moments), since squares of gradients are too small for it.
 */
export interface StoredFloats {
  readonly length: number;
  readonly storage: FloatStorage;
  readonly bytes: number;
  /** What is kept, to save and restore it: `values` and, for fp16, the bits of the `exponents` of blocks. */
  readonly parts: Readonly<Record<string, Float32Array | Uint16Array | Uint8Array>>;
  /**
   * The elements [from, to) in float32, valid until the next call: a view where they are kept so, else `scratch`, which
   * has as many. `from` and `to` are multiples of `FLAT_ALIGNMENT`.
   */
  read(from: number, to: number, scratch: Float32Array): Float32Array;
  /** Keeps what was read and changed. Rounding draws number i of `random` for element i, counted from `offset`. */
  write(from: number, values: Float32Array, random: CounterRandom, offset: number): void;
  fill(value: 0): void;
}

/** Zeros. `allocate` gives the memory of float32, which programs write in place. */
export function storedFloats(
  storage: FloatStorage,
  length: number,
  allocate: (length: number) => Float32Array = (size) => new Float32Array(size),
): StoredFloats {
  switch (storage) {
    case 'fp32':
      return new Float32Storage(allocate(length));
    case 'bf16':
      return new Bfloat16Storage(length);
    case 'fp16':
      return new Float16Storage(length);
  }
}

class Float32Storage implements StoredFloats {
  readonly storage = 'fp32';

  constructor(private readonly values: Float32Array) {}

  get length(): number {
    return this.values.length;
  }

  get bytes(): number {
    return this.values.byteLength;
  }

  get parts() {
    return { values: this.values };
  }

  read(from: number, to: number): Float32Array {
    return this.values.subarray(from, to);
  }

  write(): void {}

  fill(value: 0): void {
    this.values.fill(value);
  }
}

class Bfloat16Storage implements StoredFloats {
  readonly storage = 'bf16';
  private readonly values: Uint16Array;

  constructor(readonly length: number) {
    this.values = new Uint16Array(length);
  }

  get bytes(): number {
    return this.values.byteLength;
  }

  get parts() {
    return { values: this.values };
  }

  read(from: number, to: number, scratch: Float32Array): Float32Array {
    const { values } = this;
    const target = wordsOf(scratch);
    for (let i = from; i < to; i++) target[i - from] = values[i]! << 16;
    return scratch;
  }

  write(from: number, changed: Float32Array, random: CounterRandom, offset: number): void {
    const { values } = this;
    const source = wordsOf(changed);
    const drawn = randomBits(random, offset + from, source.length);
    for (let i = 0; i < source.length; i++) {
      values[from + i] = narrowBfloat16(source[i]!, drawn[i]!);
    }
  }

  fill(value: 0): void {
    this.values.fill(value);
  }
}

/** Largest magnitude in a block after scaling: just under half of what fp16 holds, 2^15. */
const TOP_EXPONENT = 14;

class Float16Storage implements StoredFloats {
  readonly storage = 'fp16';
  private readonly values: Uint16Array;
  /** Of the factor by which each block was divided, a power of two. */
  private readonly exponents: Int8Array;

  constructor(readonly length: number) {
    assert(length % FLAT_ALIGNMENT === 0, 'whole blocks');
    this.values = new Uint16Array(length);
    this.exponents = new Int8Array(length / FLAT_ALIGNMENT);
  }

  get bytes(): number {
    return this.values.byteLength + this.exponents.byteLength;
  }

  get parts() {
    return { values: this.values, exponents: new Uint8Array(this.exponents.buffer) };
  }

  read(from: number, to: number, scratch: Float32Array): Float32Array {
    const { values, exponents } = this;
    const wide = wideFloat16();
    for (let block = from; block < to; block += FLAT_ALIGNMENT) {
      const scale = 2 ** exponents[block / FLAT_ALIGNMENT]!;
      for (let i = block; i < block + FLAT_ALIGNMENT; i++) scratch[i - from] = wide[values[i]!]! * scale;
    }
    return scratch;
  }

  write(from: number, changed: Float32Array, random: CounterRandom, offset: number): void {
    const { values, exponents } = this;
    const drawn = randomBits(random, offset + from, changed.length);
    const scaled = new Float32Array(FLAT_ALIGNMENT);
    const words = wordsOf(scaled);
    for (let block = 0; block < changed.length; block += FLAT_ALIGNMENT) {
      let largest = 0;
      for (let i = 0; i < FLAT_ALIGNMENT; i++) largest = Math.max(largest, Math.abs(changed[block + i]!));
      const exponent = exponentFor(largest);
      exponents[(from + block) / FLAT_ALIGNMENT] = exponent;
      const scale = 2 ** -exponent;
      for (let i = 0; i < FLAT_ALIGNMENT; i++) scaled[i] = changed[block + i]! * scale;
      for (let i = 0; i < FLAT_ALIGNMENT; i++) {
        values[from + block + i] = narrowFloat16(words[i]!, scaled[i]!, drawn[block + i]!);
      }
    }
  }

  fill(value: 0): void {
    this.values.fill(value);
    this.exponents.fill(0);
  }
}

/** The power of two that brings a block of this largest magnitude below 2^15; within an int8, and 0 where all is 0. */
function exponentFor(largest: number): number {
  if (largest === 0 || !Number.isFinite(largest)) return 0;
  return Math.max(-126, Math.min(127, Math.floor(Math.log2(largest)) - TOP_EXPONENT));
}
