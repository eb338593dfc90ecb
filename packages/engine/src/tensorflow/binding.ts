import { createRequire } from 'node:module';
import type { TypedArray } from '../engine.js';
import type { ValueType } from '../graph/graph.js';
import { infoIsOff } from './environment.js';
import { withHeldStderr } from './held-stderr.js';

/** TF_DataType of tensorflow/c/tf_datatype.h. */
export const DATA_TYPE: Readonly<Record<ValueType, number>> = { float32: 1, int32: 3, bool: 10 };
/** TF_AttrType of tensorflow/c/tf_attrtype.h. */
export const ATTRIBUTE_TYPE = { string: 0, int: 1, bool: 3, type: 4 } as const;

/** An attribute of a TensorFlow operation, as the binding takes it. */
export interface Attribute {
  readonly name: string;
  readonly type: number;
  /** A list for attributes that are lists. */
  readonly value: boolean | number | string | readonly number[];
}

/**
 * What we use of the binding of `@tensorflow/tfjs-node-gpu` (its `tfjs_binding.d.ts`): eager operations on tensors that
 * are known by number. Its JavaScript half is left out: the recorded graph needs no tfjs kernels, and that half does
 * not load on Node 23 and later. One thread of a process may use it, since it holds its context in a static variable.
 */
export interface Binding {
  /** On a CPU the tensor shares the memory of `values`, which must not change before the tensor is deleted. */
  createTensor(shape: readonly number[], dtype: number, values: TypedArray | Uint8Array): number;
  deleteTensor(id: number): void;
  /** A copy. */
  tensorDataSync(id: number): TypedArray | Uint8Array;
  executeOp(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly number[],
    outputs: number,
  ): { readonly id: number }[];
  isUsingGpuDevice(): boolean;
  readonly TF_Version: string;
}

/** A line of level INFO, and the one that comes before the first of any level. */
const EARLY_INFO = /^(I\d{4} |WARNING: All log messages before absl::InitializeLog)/;

/** Loads a binding that was built on this machine. Throws what the dynamic loader says. */
export function loadBinding(path: string): Binding {
  const load = (): Binding => createRequire(import.meta.url)(path) as Binding;
  // A constructor of the library says that oneDNN is on before another one reads TF_CPP_MIN_LOG_LEVEL (2.21).
  return infoIsOff() ? withHeldStderr((line) => EARLY_INFO.test(line), load) : load();
}
