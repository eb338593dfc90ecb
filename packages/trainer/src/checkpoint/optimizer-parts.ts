import type { SafetensorsDtype } from '@clipyard/tensor';
import type { TrainState } from '../step/train-state.js';

/** What an optimizer file holds of a slice, one number for one or several elements of it. Not copies. */
export interface OptimizerPart {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly values: Float32Array | Uint16Array | Uint8Array;
}

const VALUES = { fp32: 'F32', bf16: 'BF16', fp16: 'F16' } as const;

/** Under PyTorch's names for Adam's moments. */
export function optimizerParts({ m, v, sliceAverage }: TrainState): OptimizerPart[] {
  const parts: OptimizerPart[] = [];
  for (const [name, stored] of [
    ['exp_avg', m],
    ['exp_avg_sq', v],
  ] as const) {
    const { values, exponents } = stored.parts;
    parts.push({ name, dtype: VALUES[stored.storage], values: values! });
    if (exponents !== undefined) parts.push({ name: `${name}.exponents`, dtype: 'U8', values: exponents });
  }
  if (sliceAverage !== undefined) parts.push({ name: 'average', dtype: 'F32', values: sliceAverage });
  return parts;
}
