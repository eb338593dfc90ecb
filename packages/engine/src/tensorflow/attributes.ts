import type { ValueType, Window } from '../graph/graph.js';
import { ATTRIBUTE_TYPE, type Attribute, DATA_TYPE } from './binding.js';

export const type = (name: string, dtype: ValueType): Attribute => ({
  name,
  type: ATTRIBUTE_TYPE.type,
  value: DATA_TYPE[dtype],
});
/** TF_BFLOAT16 and TF_HALF, of values that never leave the device. */
export const halfType = (name: string, of: 'bf16' | 'fp16'): Attribute => ({
  name,
  type: ATTRIBUTE_TYPE.type,
  value: of === 'bf16' ? 14 : 19,
});
export const flag = (name: string, value: boolean): Attribute => ({ name, type: ATTRIBUTE_TYPE.bool, value });
export const int = (name: string, value: number): Attribute => ({ name, type: ATTRIBUTE_TYPE.int, value });
const ints = (name: string, value: readonly number[]): Attribute => ({ name, type: ATTRIBUTE_TYPE.int, value });
const text = (name: string, value: string): Attribute => ({ name, type: ATTRIBUTE_TYPE.string, value });

export const convolutionAttributes = ({ stride, padding }: Window): Attribute[] => [
  type('T', 'float32'),
  ints('strides', [1, stride, stride, 1]),
  text('padding', padding === 0 ? 'VALID' : 'EXPLICIT'),
  ...(padding === 0 ? [] : [ints('explicit_paddings', [0, 0, padding, padding, padding, padding, 0, 0])]),
  text('data_format', 'NHWC'),
  ints('dilations', [1, 1, 1, 1]),
];

export const poolAttributes = (size: number): Attribute[] => [
  type('T', 'float32'),
  ints('ksize', [1, size, size, 1]),
  ints('strides', [1, size, size, 1]),
  text('padding', 'VALID'),
  text('data_format', 'NHWC'),
];
