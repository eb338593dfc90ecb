import type { Tensor } from '../index.js';
import type { ReferenceArray } from './reference-array.js';

export const ENGINES = ['onnxruntime', 'tensorflow', 'cpu'] as const;

export interface CaseInput {
  readonly shape: readonly number[];
  /** Float32 values lie evenly in [min, max); default [-2, 2). */
  readonly min?: number;
  readonly max?: number;
  /** Makes it an int32 input, which has no gradient. */
  readonly integers?: readonly number[];
}

/** One operation with inputs, and what it is to compute; operations.test.ts checks values and gradients. */
export interface OperationCase {
  readonly name: string;
  readonly inputs: Readonly<Record<string, CaseInput>>;
  readonly compute: (inputs: Record<string, Tensor>) => Tensor;
  readonly reference: (inputs: Record<string, ReferenceArray>) => ReferenceArray;
  /** An engine that gets it wrong; the case says why. */
  readonly except?: (typeof ENGINES)[number];
  /** Whether derivatives are checked too; default true. */
  readonly gradient?: boolean;
}
