import { createRequire } from 'node:module';
import { ClipyardError } from '@clipyard/contracts';
import { openEngine } from './open-engine.js';
import { findTensorFlow } from './tensorflow/installation.js';
import { selfTest } from './tensorflow/self-test.js';

export interface EngineStatus {
  readonly name: 'onnxruntime' | 'tensorflow' | 'cpu';
  readonly usable: boolean;
  /** Of the library it runs on, where that is known. */
  readonly version: string | undefined;
  readonly device: 'cpu' | 'gpu' | undefined;
  /** What it was made from; of an engine that is not usable: why, and what to do. */
  readonly note: string;
}

/** Tries every engine on this machine. */
export async function listEngines({
  enginesDir,
  signal,
}: {
  readonly enginesDir: string;
  readonly signal?: AbortSignal;
}): Promise<EngineStatus[]> {
  return [
    await tried('onnxruntime', packageVersion('onnxruntime-node'), 'the default; comes with the install'),
    await tensorFlowStatus(enginesDir, signal),
    await tried('cpu', packageVersion('@tensorflow/tfjs-backend-cpu'), 'plain JavaScript: slow, for comparison'),
  ];
}

async function tried(name: 'onnxruntime' | 'cpu', version: string, note: string): Promise<EngineStatus> {
  try {
    const engine = await openEngine({ engine: name });
    await engine.close();
    return { name, usable: true, version, device: 'cpu', note };
  } catch (error) {
    if (!(error instanceof ClipyardError)) throw error;
    return { name, usable: false, version, device: undefined, note: error.message };
  }
}

async function tensorFlowStatus(enginesDir: string, signal: AbortSignal | undefined): Promise<EngineStatus> {
  const found = await findTensorFlow(enginesDir);
  if (found === undefined) {
    const note = 'not built; run `clipyard engines build tensorflow`';
    return { name: 'tensorflow', usable: false, version: undefined, device: undefined, note };
  }
  try {
    const { version, gpu, gpuProblem } = await selfTest(found.bindingPath, signal);
    const problem = gpuProblem === undefined ? '' : `; no GPU: ${gpuProblem}`;
    const note = `built from ${found.source}${problem}`;
    return { name: 'tensorflow', usable: true, version, device: gpu ? 'gpu' : 'cpu', note };
  } catch (error) {
    if (signal?.aborted) throw error;
    const note = `${(error as Error).message}; build it again with \`clipyard engines build tensorflow\``;
    return { name: 'tensorflow', usable: false, version: found.version, device: undefined, note };
  }
}

const packageVersion = (name: string): string =>
  (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;
