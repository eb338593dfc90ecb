import { createRequire } from 'node:module';
import util from 'node:util';
import { tf } from '@clipyard/engine';

/**
 * Makes the backend of @tensorflow/tfjs-node-gpu the current one of tfjs, with all its kernels, on a binding that
 * `clipyard engines build tensorflow` built: what the package's index.js does, which looks for one in its own folder
 * only. A baseline for benchmarks; the tensorflow engine uses the binding alone.
 */
export async function useTfjsNode(bindingPath) {
  util.isNullOrUndefined ??= (value) => value == null; // the package calls it, Node 23 took it away
  const require = createRequire(import.meta.url);
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend');
  tf.registerBackend('tensorflow', () => new NodeJSKernelBackend(require(bindingPath), '@tensorflow/tfjs-node-gpu'));
  if (!(await tf.setBackend('tensorflow'))) throw new Error(`tfjs-node's backend does not start on ${bindingPath}`);
  tf.enableProdMode();
}
