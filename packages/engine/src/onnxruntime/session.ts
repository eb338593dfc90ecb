import assert from 'node:assert';
import type { Buffers, TypedArray } from '../engine.js';
import { sizeOf, type ValueType } from '../graph/graph.js';
import type { KeptValue } from '../graph/split.js';
import type { TapeMemory } from '../graph/tape-memory.js';
import { allocateAligned, CStrings, type Operands, type OrtRuntime } from './runtime.js';

/** An input or output of a session. */
export interface Port {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: ValueType;
}

/** Values over arrays that one side of a session keeps for the next run: making one costs more than finding it. */
const MAX_CACHED_VALUES = 8192;

/** One ONNX Runtime session, which reads and writes the arrays it is given in place. */
export class Session {
  private readonly read: Side;
  private readonly written: Side;

  constructor(
    private readonly runtime: OrtRuntime,
    private readonly handle: bigint,
    inputs: readonly Port[],
    private readonly outputs: readonly Port[],
  ) {
    this.read = new Side(runtime, inputs);
    this.written = new Side(runtime, outputs);
  }

  /**
   * Reads each input from the first of `given` that has it. Writes to those of `wanted`, and to new arrays where they
   * name none. Not to be called before the last call has resolved.
   */
  async run(
    given: readonly Buffers[],
    wanted: readonly Buffers[],
    runOptions: bigint,
  ): Promise<Record<string, TypedArray>> {
    const read = this.read.bind((port) => {
      const array = find(given, port.name);
      assert(array !== undefined, `no value for ${port.name}`);
      return array;
    });
    const written = this.written.bind((port) => find(wanted, port.name) ?? newArray(port));
    await this.runtime.run(this.handle, runOptions, read, written);
    return Object.fromEntries(this.outputs.map(({ name }, i) => [name, written.arrays[i]!]));
  }

  release(): void {
    this.read.release();
    this.written.release();
    this.runtime.releaseSession(this.handle);
  }
}

function find(all: readonly Buffers[], name: string): TypedArray | undefined {
  for (const buffers of all) {
    const array = buffers[name];
    if (array !== undefined) return array;
  }
  return undefined;
}

/** All inputs or all outputs of a session, and ONNX Runtime's values over the arrays they were bound to. */
class Side {
  private readonly names: CStrings;
  private readonly values: BigUint64Array;
  /** By port: the value over an array that was seen before. */
  private byArray: WeakMap<TypedArray, bigint>[];
  /** By place in memory: views are made anew all the time. */
  private readonly byPlace = new Map<string, bigint>();
  private readonly bufferIds = new WeakMap<ArrayBufferLike, number>();
  private buffers = 0;

  constructor(
    private readonly runtime: OrtRuntime,
    private readonly ports: readonly Port[],
  ) {
    this.names = new CStrings(ports.map(({ name }) => name));
    this.values = new BigUint64Array(ports.length);
    this.byArray = ports.map(() => new WeakMap());
  }

  bind(arrayOf: (port: Port) => TypedArray): Operands & { readonly arrays: readonly TypedArray[] } {
    if (this.byPlace.size > MAX_CACHED_VALUES) this.release();
    const arrays: TypedArray[] = [];
    for (let i = 0; i < this.ports.length; i++) {
      const array = arrayOf(this.ports[i]!);
      arrays.push(array);
      let value = this.byArray[i]!.get(array);
      if (value === undefined) {
        value = this.valueAt(this.ports[i]!, array);
        this.byArray[i]!.set(array, value);
      }
      this.values[i] = value;
    }
    return { names: this.names, values: this.values, arrays };
  }

  release(): void {
    for (const value of this.byPlace.values()) this.runtime.releaseValue(value);
    this.byPlace.clear();
    this.byArray = this.ports.map(() => new WeakMap());
  }

  private valueAt({ name, shape, dtype }: Port, array: TypedArray): bigint {
    let id = this.bufferIds.get(array.buffer);
    if (id === undefined) {
      id = this.buffers++;
      this.bufferIds.set(array.buffer, id);
    }
    const place = `${name}@${id}:${array.byteOffset}`;
    let value = this.byPlace.get(place);
    if (value === undefined) {
      value = this.runtime.createValue(array, shape, dtype);
      this.byPlace.set(place, value);
    }
    return value;
  }
}

/** Zeroed, on a cache line of its own. */
export const newArray = (port: Pick<Port, 'shape' | 'dtype'>): TypedArray =>
  viewOf(port, allocateAligned(sizeOf(port.shape) * (port.dtype === 'bool' ? 1 : 4)));

/** Arrays for kept values, of which some share memory. */
export function newTape(kept: ReadonlyMap<string, KeptValue>, { arrays, placeOf }: TapeMemory): Buffers {
  const memory = arrays.map(allocateAligned);
  return Object.fromEntries([...kept].map(([name, { value }]) => [name, viewOf(value, memory[placeOf.get(name)!]!)]));
}

function viewOf(
  { shape, dtype }: Pick<Port, 'shape' | 'dtype'>,
  { buffer, byteOffset }: ReturnType<typeof allocateAligned>,
): TypedArray {
  const length = sizeOf(shape);
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, length);
  if (dtype === 'int32') return new Int32Array(buffer, byteOffset, length);
  return new Uint8Array(buffer, byteOffset, length) as unknown as Int32Array;
}
