import { ClipyardError } from '@clipyard/contracts';
import type { OnCompile } from './compile-report.js';
import { CpuEngine } from './cpu-engine.js';
import type { Engine } from './engine.js';
import { OnnxRuntimeEngine } from './onnxruntime/onnxruntime-engine.js';
import { findTensorFlow, type Installation } from './tensorflow/installation.js';
import { TensorFlowEngine } from './tensorflow/tensorflow-engine.js';
import { tf } from './tfjs.js';

export interface OpenEngineOptions {
  /** `auto`: `tensorflow` where it was built and finds a GPU, else `onnxruntime`. */
  readonly engine: 'auto' | 'onnxruntime' | 'tensorflow' | 'cpu';
  /** Threads of one run; default 1. */
  readonly threads?: number;
  /** Where engines lie that were built on this machine; unset: there are none. */
  readonly enginesDir?: string;
  /** Number of the rank on this host: ranks take the GPUs in turn. */
  readonly slot?: number;
  /**
   * Whether graphs are simplified before they are lowered; default true. The results are the same, bit for bit, on
   * onnxruntime; the cpu engine has no graphs.
   */
  readonly simplify?: boolean;
  /** Told of each program that is compiled. */
  readonly onCompile?: OnCompile;
}

/** Opens an engine and checks that it computes. Throws `engine_unavailable` with what is missing. */
export async function openEngine(options: OpenEngineOptions): Promise<Engine> {
  const name = options.engine;
  if (name === 'cpu') return checked(new CpuEngine(), REINSTALL);
  if (name === 'tensorflow') return openTensorFlow(await installation(options), options);
  return (name === 'auto' ? await openOnGpu(options) : undefined) ?? openOnnxRuntime(options);
}

const REINSTALL = 'Install again with `npm ci`, or choose resources.engine: cpu (slow).';
const REBUILD = 'Build it again with `clipyard engines build tensorflow`, or choose resources.engine: onnxruntime.';

const openOnnxRuntime = ({ threads = 1, simplify, onCompile }: OpenEngineOptions): Promise<Engine> =>
  checked(new OnnxRuntimeEngine({ threads, simplify, onCompile }), REINSTALL);

async function installation({ enginesDir }: OpenEngineOptions): Promise<Installation> {
  const found = enginesDir === undefined ? undefined : await findTensorFlow(enginesDir);
  if (found !== undefined) return found;
  throw new ClipyardError(
    'engine_unavailable',
    `The tensorflow engine has not been built for ${process.platform} ${process.arch}${enginesDir === undefined ? '' : ` below ${enginesDir}`}. Run \`clipyard engines build tensorflow\` on this machine, or choose resources.engine: auto.`,
  );
}

async function openTensorFlow(
  { bindingPath }: Installation,
  { threads = 1, slot, simplify, onCompile }: OpenEngineOptions,
): Promise<TensorFlowEngine> {
  return checked(await TensorFlowEngine.open({ bindingPath, threads, slot, simplify, onCompile }), REBUILD);
}

/** TensorFlow, where it was built on a machine with a GPU and finds one now; a GPU that is gone is no error here. */
async function openOnGpu(options: OpenEngineOptions): Promise<Engine | undefined> {
  const found = options.enginesDir === undefined ? undefined : await findTensorFlow(options.enginesDir);
  if (found?.gpu !== true) return undefined;
  try {
    const engine = await openTensorFlow(found, options);
    if (engine.device === 'gpu') return engine;
    await engine.close();
    return undefined;
  } catch (error) {
    if (error instanceof ClipyardError && error.code === 'engine_unavailable') return undefined;
    throw error;
  }
}

async function checked<E extends Engine>(engine: E, remedy: string): Promise<E> {
  try {
    await selfTest(engine);
  } catch (error) {
    await engine.close();
    throw new ClipyardError(
      'engine_unavailable',
      `The ${engine.name} engine does not work on this machine: ${(error as Error).message}. ${remedy}`,
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
