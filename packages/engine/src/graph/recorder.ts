import { ClipyardError } from '@clipyard/contracts';
import type { Specs, TensorFunction } from '../engine.js';
import { tf } from '../tfjs.js';
import { type Graph, graphOf, type InputValue, type Value } from './graph.js';
import { registerRecordedKernels } from './kernels.js';
import { RECORDER, RecorderBackend } from './recorder-backend.js';

/** Runs `fn` once on placeholders and returns what it would compute. Errors name the program and the operation. */
export function record(name: string, fn: TensorFunction, specs: Specs): Graph {
  if (tf.findBackendFactory(RECORDER) === null) {
    tf.registerBackend(RECORDER, () => new RecorderBackend(), 0);
    registerRecordedKernels(RECORDER);
  }
  const inputs = new Map<string, InputValue>();
  for (const [key, spec] of Object.entries(specs)) {
    inputs.set(key, { kind: 'input', name: key, shape: [...spec.shape], dtype: spec.dtype ?? 'float32' });
  }
  return onBackend(RECORDER, () => {
    const backend = tf.backend() as RecorderBackend;
    backend.begin();
    const outputs = new Map<string, Value>();
    try {
      tf.tidy(() => {
        const placeholders = Object.fromEntries([...inputs].map(([key, value]) => [key, backend.tensorOf(value)]));
        for (const [key, tensor] of Object.entries(fn(placeholders))) outputs.set(key, backend.recorded(tensor));
      });
    } catch (error) {
      throw new ClipyardError(
        'engine_unsupported',
        `Cannot compile \`${name}\`: ${(error as Error).message}${callSite(error as Error)}`,
        { cause: error },
      );
    }
    return graphOf(inputs, outputs);
  });
}

/** Makes `backend` the current tfjs backend while `fn` runs. Nothing here awaits, so no other code sees the change. */
export function onBackend<T>(backend: string, fn: () => T): T {
  const previous = tf.getBackend();
  if (previous !== backend) void tf.setBackend(backend);
  try {
    return fn();
  } finally {
    if (previous && previous !== backend) void tf.setBackend(previous);
  }
}

/** The line of the caller's code that made the failing operation. */
function callSite(error: Error): string {
  const line = error.stack
    ?.split('\n')
    .find((frame) => frame.includes('at ') && !/node_modules|packages\/engine|engine\/dist/.test(frame));
  return line === undefined ? '' : ` (${line.trim()})`;
}
