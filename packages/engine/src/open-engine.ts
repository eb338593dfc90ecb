import { ClipyardError } from '@clipyard/contracts';
import { CpuEngine } from './cpu-engine.js';
import type { Engine } from './engine.js';
import { OnnxRuntimeEngine } from './onnxruntime/onnxruntime-engine.js';
import { tf } from './tfjs.js';

export interface OpenEngineOptions {
  /** `auto`: the fastest that passes its self-test here. */
  readonly engine: 'auto' | 'onnxruntime' | 'cpu';
  /** Threads of one run; default 1. */
  readonly threads?: number;
}

/** Opens an engine and checks that it computes. Throws `engine_unavailable` with what is missing. */
export async function openEngine({ engine: name, threads = 1 }: OpenEngineOptions): Promise<Engine> {
  const engine = name === 'cpu' ? new CpuEngine() : new OnnxRuntimeEngine({ threads });
  try {
    await selfTest(engine);
  } catch (error) {
    await engine.close();
    throw new ClipyardError(
      'engine_unavailable',
      `The ${engine.name} engine does not work on this machine: ${(error as Error).message}. Install again with \`npm ci\`, or choose resources.engine: cpu (slow).`,
      { cause: error },
    );
  }
  return engine;
}

async function selfTest(engine: Engine): Promise<void> {
  const program = await engine.compile(
    ({ a, b }) => ({ product: tf.matMul(a!, b!) }),
    { a: { shape: [2, 3] }, b: { shape: [3, 1] } },
    { name: 'self-test' },
  );
  const { product } = await program.run({ a: Float32Array.of(1, 2, 3, 4, 5, 6), b: Float32Array.of(1, 10, 100) });
  await program.dispose();
  if (product![0] !== 321 || product![1] !== 654) throw new Error(`a matrix product gave ${product}`);
}
