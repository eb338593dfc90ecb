import { readdirSync } from 'node:fs';
import { loadLibrary } from '../native-library.js';

/**
 * TensorFlow reads its settings from the environment of the process when it is loaded, and the binding offers no other
 * way. `process.env` of a thread is a copy that C code does not see, hence the C functions. What an operator has set
 * stays as it is; only of several GPUs one is chosen: the binding would take the last it sees.
 */
export function prepareEnvironment(threads: number, slot: number | undefined, logs: 'errors' | 'all' = 'errors'): void {
  const library = loadLibrary(null);
  const setenv = library.func('setenv', 'int', ['str', 'str', 'int']);
  const getenv = library.func('getenv', 'str', ['str']);
  const settings: Record<string, string> = {
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_NUM_INTEROP_THREADS: '1',
    // Else each start prints a page.
    TF_CPP_MIN_LOG_LEVEL: logs === 'errors' ? '2' : '0',
    // Ranks may share a GPU; TensorFlow would take all of its memory at once.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    // The same results as elsewhere: no sums in the order of arrival, no products with mantissas of 10 bits.
    TF_DETERMINISTIC_OPS: '1',
    NVIDIA_TF32_OVERRIDE: '0',
  };
  for (const [name, value] of Object.entries(settings)) setenv(name, value, 0);
  const gpus = visibleGpus(getenv('CUDA_VISIBLE_DEVICES') as string | null);
  if (slot !== undefined && gpus.length > 1) setenv('CUDA_VISIBLE_DEVICES', gpus[slot % gpus.length]!, 1);
}

/** Whether TensorFlow is to keep messages of level INFO to itself. */
export function infoIsOff(): boolean {
  const getenv = loadLibrary(null).func('getenv', 'str', ['str']);
  return Number(getenv('TF_CPP_MIN_LOG_LEVEL') ?? 0) >= 1;
}

/** Names of the GPUs, as CUDA_VISIBLE_DEVICES has them; without it all of the driver's. */
function visibleGpus(setting: string | null): string[] {
  if (setting !== null) return setting.split(',').filter((name) => name !== '');
  return readdirSync('/dev')
    .filter((name) => /^nvidia\d+$/.test(name))
    .map((_, i) => String(i));
}
