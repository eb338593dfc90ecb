import type { BackendValues, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import type { TypedArray } from '../engine.js';
import { tf } from '../tfjs.js';
import { checkOperands } from './check-operands.js';
import { makeNode, type Operation, type Value, type ValueType } from './graph.js';
import { SourceLines } from './source-line.js';

export const RECORDER = 'clipyard-recorder';

interface Entry {
  readonly value: Value;
  /** Which recording made it. */
  readonly recording: number;
  references: number;
}

/** A tfjs backend whose kernels compute nothing: they write down which operation they are. */
export class RecorderBackend extends tf.KernelBackend {
  private readonly entries = new Map<object, Entry>();
  private readonly lines = new SourceLines();
  private recording = 0;

  /** From here on, tensors that exist are from outside. */
  begin(): void {
    this.recording++;
  }

  /** Notes an operation and returns a handle for each of its results. */
  record(
    operation: Operation,
    operands: readonly TensorInfo[],
    shapes: readonly (readonly number[])[],
    dtype: ValueType,
  ): TensorInfo[] {
    const inputs = operands.map((operand) => this.recorded(operand));
    checkOperands(operation, inputs, shapes[0]!);
    const results = shapes.map((shape) => ({ shape: [...shape], dtype }));
    const node = makeNode(operation, inputs, results, this.lines.here());
    return node.outputs.map((output) => this.put(output));
  }

  put(value: Value): TensorInfo {
    const dataId = {};
    this.entries.set(dataId, { value, recording: this.recording, references: 1 });
    return { dataId, shape: [...value.shape], dtype: value.dtype };
  }

  /** The same value under the same shape again. */
  alias(info: TensorInfo): TensorInfo {
    this.incRef(info.dataId);
    return { dataId: info.dataId, shape: info.shape, dtype: info.dtype };
  }

  tensorOf(value: Value): Tensor {
    return tf.engine().makeTensorFromTensorInfo(this.put(value));
  }

  recorded(info: TensorInfo): Value {
    const entry = this.entries.get(info.dataId);
    if (entry?.recording !== this.recording) throw fromOutside();
    return entry.value;
  }

  override write(values: BackendValues, shape: number[], dtype: ValueType): object {
    const info = this.put({ kind: 'constant', shape: [...shape], dtype, data: typedArray(dtype, values) });
    return info.dataId;
  }

  /** tfjs moves tensors of other backends here when a kernel uses them. */
  override move(): void {
    throw fromOutside();
  }

  override readSync(dataId: object): TypedArray | Uint8Array {
    const value = this.entries.get(dataId)?.value;
    if (value?.kind === 'constant') return value.data;
    throw new Error('it read the value of a tensor, but only shapes are known while compiling');
  }

  override async read(dataId: object): Promise<TypedArray | Uint8Array> {
    return this.readSync(dataId);
  }

  override numDataIds(): number {
    return this.entries.size;
  }

  override incRef(dataId: object): void {
    this.entries.get(dataId)!.references++;
  }

  override refCount(dataId: object): number {
    return this.entries.get(dataId)?.references ?? 0;
  }

  override disposeData(dataId: object, force = false): boolean {
    const entry = this.entries.get(dataId);
    if (entry === undefined) return true;
    entry.references--;
    if (entry.references > 0 && !force) return false;
    this.entries.delete(dataId);
    return true;
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override dispose(): void {
    this.entries.clear();
  }
}

const fromOutside = (): Error =>
  new Error('it used a tensor from outside; give it as an input, or make it inside the function');

function typedArray(dtype: ValueType, given: BackendValues): TypedArray | Uint8Array {
  const values = given as ArrayLike<number>;
  if (dtype === 'float32') return Float32Array.from(values);
  return dtype === 'int32' ? Int32Array.from(values) : Uint8Array.from(values);
}
