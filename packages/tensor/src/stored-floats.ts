import assert from 'node:assert';
import { FLAT_ALIGNMENT } from './flat-layout.js';
import { fromFloat16 } from './half.js';
import type { CounterRandom } from './random.js';

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

/** 16 random bits an element, two elements a word. */
class RandomBits {
  private words = new Uint32Array(0);

  draw(random: CounterRandom, offset: number, count: number): Uint16Array {
    const needed = Math.ceil(count / 2);
    if (this.words.length < needed) this.words = new Uint32Array(needed);
    random.fillWords(this.words.subarray(0, needed), offset / 2);
    return new Uint16Array(this.words.buffer, 0, count);
  }
}

const bits = new RandomBits();

const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Not a finite number, by its bits. */
const EXPONENT = 0x7f800000;

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
    const drawn = bits.draw(random, offset + from, source.length);
    for (let i = 0; i < source.length; i++) {
      const word = source[i]!;
      // A carry moves into the exponent, as it should; infinities and NaN must stay what they are.
      values[from + i] = ((word & EXPONENT) === EXPONENT ? notFinite(word) : word + drawn[i]!) >>> 16;
    }
  }

  fill(value: 0): void {
    this.values.fill(value);
  }
}

const notFinite = (word: number): number => ((word & 0x7fffff) === 0 ? word : word | 0x400000);

/** Largest magnitude in a block after scaling: just under half of what fp16 holds, 2^15. */
const TOP_EXPONENT = 14;
const SIGN_BITS = 0x8000;

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
    const wide = widePatterns();
    for (let block = from; block < to; block += FLAT_ALIGNMENT) {
      const scale = 2 ** exponents[block / FLAT_ALIGNMENT]!;
      for (let i = block; i < block + FLAT_ALIGNMENT; i++) scratch[i - from] = wide[values[i]!]! * scale;
    }
    return scratch;
  }

  write(from: number, changed: Float32Array, random: CounterRandom, offset: number): void {
    const { values, exponents } = this;
    const drawn = bits.draw(random, offset + from, changed.length);
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
        values[from + block + i] = narrow(words[i]!, scaled[i]!, drawn[block + i]!);
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

/** The fp16 pattern of a float below 2^16 in magnitude, or that of an infinity or NaN; `random`: 16 bits. */
function narrow(word: number, value: number, random: number): number {
  const sign = (word >>> 16) & SIGN_BITS;
  const magnitude = word & 0x7fffffff;
  if (magnitude >= EXPONENT) return sign | (magnitude === EXPONENT ? 0x7c00 : 0x7e00);
  // Normal numbers of fp16: drop 13 bits of the mantissa and rebase the exponent.
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + (random >>> 3)) >>> 13);
  // Below: multiples of 2^-24.
  return sign | Math.floor(Math.abs(value) * 2 ** 24 + random / 65536);
}

/** Each fp16 pattern's value, made when first used. */
let wide: Float32Array | undefined;

function widePatterns(): Float32Array {
  wide ??= Float32Array.from({ length: 1 << 16 }, (_, pattern) => fromFloat16(pattern));
  return wide;
}
