import assert from 'node:assert';
import type { Buffers, TypedArray } from '../engine.js';
import { sizeOf, type ValueType } from '../graph/graph.js';
import { allocateAligned, CStrings, type OrtRuntime } from './runtime.js';

/** An input or output of a session. */
export interface Port {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: ValueType;
}

/** Values over arrays that a session keeps for the next run: making one costs more than finding it. */
const MAX_CACHED_VALUES = 8192;

/** One ONNX Runtime session, which reads and writes the arrays it is given in place. */
export class Session {
  private readonly inputNames: CStrings;
  private readonly outputNames: CStrings;
  private readonly values = new Map<string, bigint>();
  private readonly bufferIds = new WeakMap<ArrayBufferLike, number>();
  private buffers = 0;

  constructor(
    private readonly runtime: OrtRuntime,
    private readonly handle: bigint,
    private readonly inputs: readonly Port[],
    private readonly outputs: readonly Port[],
  ) {
    this.inputNames = new CStrings(inputs.map(({ name }) => name));
    this.outputNames = new CStrings(outputs.map(({ name }) => name));
  }

  /** Writes to `wanted`, and to new arrays where it names none. Not to be called before the last call has resolved. */
  async run(given: Buffers, wanted: Buffers, runOptions: bigint): Promise<Record<string, TypedArray>> {
    if (this.values.size > MAX_CACHED_VALUES) this.releaseValues();
    const read = this.inputs.map(({ name }) => {
      const array = given[name];
      assert(array !== undefined, `no value for ${name}`);
      return array;
    });
    const written = this.outputs.map((port) => wanted[port.name] ?? newArray(port));
    await this.runtime.run(
      this.handle,
      runOptions,
      { names: this.inputNames, values: this.valuesOf(this.inputs, read), arrays: read },
      { names: this.outputNames, values: this.valuesOf(this.outputs, written), arrays: written },
    );
    return Object.fromEntries(this.outputs.map(({ name }, i) => [name, written[i]!]));
  }

  release(): void {
    this.releaseValues();
    this.runtime.releaseSession(this.handle);
  }

  private valuesOf(ports: readonly Port[], arrays: readonly TypedArray[]): BigUint64Array {
    return BigUint64Array.from(ports, (port, i) => this.valueOf(port, arrays[i]!));
  }

  private valueOf({ name, shape, dtype }: Port, array: TypedArray): bigint {
    let id = this.bufferIds.get(array.buffer);
    if (id === undefined) {
      id = this.buffers++;
      this.bufferIds.set(array.buffer, id);
    }
    const key = `${name}@${id}:${array.byteOffset}`;
    let value = this.values.get(key);
    if (value === undefined) {
      value = this.runtime.createValue(array, shape, dtype);
      this.values.set(key, value);
    }
    return value;
  }

  private releaseValues(): void {
    for (const value of this.values.values()) this.runtime.releaseValue(value);
    this.values.clear();
  }
}

/** Zeroed, on a cache line of its own. */
export function newArray({ shape, dtype }: Pick<Port, 'shape' | 'dtype'>): TypedArray {
  const length = sizeOf(shape);
  const { buffer, byteOffset } = allocateAligned(length * (dtype === 'bool' ? 1 : 4));
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, length);
  if (dtype === 'int32') return new Int32Array(buffer, byteOffset, length);
  return new Uint8Array(buffer, byteOffset, length) as unknown as Int32Array;
}
