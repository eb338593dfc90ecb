import type { KernelConfig, TensorInfo } from '@tensorflow/tfjs-core';
import type { ComputePrecision } from './engine.js';
import { tf } from './tfjs.js';

/** What `roundOperands` does to a graph, for tfjs's plain JavaScript backend, which has none. */
const MULTIPLYING: Readonly<Record<string, readonly string[]>> = {
  BatchMatMul: ['a', 'b'],
  Conv2D: ['x', 'filter'],
  Conv2DBackpropInput: ['dy', 'filter'],
  Conv2DBackpropFilter: ['x', 'dy'],
};

interface CpuBackend {
  readonly data: { get(dataId: object): { values: Float32Array } };
  makeTensorInfo(shape: readonly number[], dtype: string, values: Float32Array): TensorInfo;
}

let current: ComputePrecision = 'fp32';
let installed = false;

/** Runs `fn`, in which nothing awaits, with the operands of products rounded. */
export function withRounding<T>(to: ComputePrecision, fn: () => T): T {
  if (to !== 'fp32') install();
  const previous = current;
  current = to;
  try {
    return fn();
  } finally {
    current = previous;
  }
}

function install(): void {
  if (installed) return;
  installed = true;
  for (const [kernelName, operands] of Object.entries(MULTIPLYING)) {
    const kernel = tf.getKernel(kernelName, 'cpu');
    tf.unregisterKernel(kernelName, 'cpu');
    const kernelFunc: KernelConfig['kernelFunc'] = (call) => {
      if (current === 'fp32') return kernel.kernelFunc(call);
      const backend = call.backend as CpuBackend;
      const inputs = { ...call.inputs };
      for (const name of operands) inputs[name] = rounded(backend, inputs[name]!, current);
      return kernel.kernelFunc({ ...call, inputs });
    };
    tf.registerKernel({ kernelName, backendName: 'cpu', kernelFunc });
  }
}

function rounded(backend: CpuBackend, { dataId, shape }: TensorInfo, to: 'bf16' | 'fp16'): TensorInfo {
  const values = backend.data.get(dataId).values;
  return backend.makeTensorInfo(shape, 'float32', to === 'bf16' ? toBf16(values) : toFp16(values));
}

/** To nearest even, by the bits. */
function toBf16(values: Float32Array): Float32Array {
  const result = Float32Array.from(values);
  const words = new Uint32Array(result.buffer);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if ((word & 0x7f800000) !== 0x7f800000) words[i] = (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;
  }
  return result;
}

/** To nearest even, in multiples of the distance of neighbours at that size. */
function toFp16(values: Float32Array): Float32Array {
  return Float32Array.from(values, (value) => {
    const size = Math.abs(value);
    if (!(size < 65520)) return size >= 65520 ? Math.sign(value) * Infinity : value;
    const spacing = 2 ** Math.max(-24, Math.floor(Math.log2(size)) - 10);
    const whole = Math.floor(size / spacing);
    const rest = size / spacing - whole;
    const up = rest > 0.5 || (rest === 0.5 && whole % 2 === 1);
    return Math.sign(value) * (whole + Number(up)) * spacing;
  });
}
