import { ClipyardError } from '@clipyard/contracts';
import type { Specs, TensorFunction } from '../engine.js';
import { tf } from '../tfjs.js';
import { noteForwardLines } from './forward-lines.js';
import { type Graph, graphOf, type InputValue, type Value } from './graph.js';
import { registerRecordedKernels } from './kernels.js';
import { RECORDER, RecorderBackend } from './recorder-backend.js';
import { callSiteOf, withDeepStacks } from './source-line.js';

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
    unsupported(name, () =>
      tf.tidy(() => {
        const placeholders = Object.fromEntries([...inputs].map(([key, value]) => [key, backend.tensorOf(value)]));
        const results = fn(placeholders);
        for (const [key, tensor] of Object.entries(results)) outputs.set(key, backend.recorded(tensor));
        tf.dispose(results); // `tf.keep` may have kept some from the tidying
      }),
    );
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

/** Runs a program's function. Throws `engine_unsupported` with the program, the operation and the model's line that failed. */
export function unsupported<T>(program: string, fn: () => T): T {
  try {
    return withDeepStacks(() => noteForwardLines(fn));
  } catch (error) {
    const { message } = error as Error;
    const site = callSiteOf(error as Error);
    const place = [site?.operation === undefined ? [] : `\`${site.operation}\``, site?.source ?? []]
      .flat()
      .join(' at ');
    throw new ClipyardError(
      'engine_unsupported',
      `Cannot compile \`${program}\`: ${message}${place === '' ? '' : ` (${place})`}`,
      { cause: error },
    );
  }
}
