import { fileURLToPath } from 'node:url';
import { runChild } from './build/child.js';

/** Time to load TensorFlow in a process of its own and compute once, ms. */
/** Time for the self-test; loading CUDA for the first time takes long, ms. */
const TIMEOUT_MS = 5 * 60_000;

export interface SelfTest {
  readonly version: string;
  readonly gpu: boolean;
  /** What TensorFlow says of a GPU that it looked for in vain; undefined of one that is made for CPUs. */
  readonly gpuProblem: string | undefined;
}

/** Loads a binding in a process of its own and multiplies matrices. Throws with the reason. */
export async function selfTest(bindingPath: string, signal?: AbortSignal): Promise<SelfTest> {
  const script = fileURLToPath(new URL('../../dist/tensorflow/self-test-main.js', import.meta.url));
  const result = await runChild(process.execPath, [script, bindingPath], { timeoutMs: TIMEOUT_MS, signal });
  if (result.code !== 0) throw new Error(reasonOf(result.stderr) || `it ended with ${result.ending ?? result.code}`);
  const found = JSON.parse(result.stdout.trim().split('\n').at(-1)!) as Omit<SelfTest, 'gpuProblem'>;
  return { ...found, gpuProblem: found.gpu ? undefined : gpuProblemOf(result.stderr) };
}

/** The line of an uncaught error, or the last one. */
function reasonOf(stderr: string): string {
  const lines = stderr.trim().split('\n');
  return lines.find((line) => /^(\w*Error|.*cannot open shared object)/.test(line)) ?? lines.at(-1) ?? '';
}

/** The last message about CUDA, without where in TensorFlow it was written. */
function gpuProblemOf(stderr: string): string | undefined {
  const lines = stderr.split('\n').filter((line) => /cuda|cuInit|dlopen|gpu librar/i.test(line));
  return lines.at(-1)?.replace(/^\S+ [\d:.]+\s+\d+ \S+\] /, '');
}
