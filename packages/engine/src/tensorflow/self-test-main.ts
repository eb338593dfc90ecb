import assert from 'node:assert';
import { ATTRIBUTE_TYPE, DATA_TYPE, loadBinding } from './binding.js';
import { prepareEnvironment } from './environment.js';
import { LoadedProgram } from './loaded-program.js';

// A process of its own that loads the binding named by its argument and computes with it: what is broken may crash.
const path = process.argv[2];
assert(path !== undefined, 'usage: self-test-main.js <binding>');
prepareEnvironment(1, undefined, 'all');
const binding = loadBinding(path);
const float = (slot: number, shape: number[]) => ({ slot, shape, dtype: 'float32' as const });
const program = new LoadedProgram(
  binding,
  {
    slots: 3,
    constants: [],
    inputs: new Map([
      ['a', float(0, [2, 3])],
      ['b', float(1, [3, 1])],
    ]),
    outputs: new Map([['product', float(2, [2, 1])]]),
    steps: [
      {
        op: 'MatMul',
        attributes: [{ name: 'T', type: ATTRIBUTE_TYPE.type, value: DATA_TYPE.float32 }],
        inputs: [0, 1],
        outputs: [2],
        free: [],
      },
    ],
  },
  { keep: [], forget: [], first: undefined },
  undefined,
  new Int32Array(new SharedArrayBuffer(4)),
);
const { product } = program.run({ a: Float32Array.of(1, 2, 3, 4, 5, 6), b: Float32Array.of(1, 10, 100) }, {}, 0);
assert.deepEqual(product, Float32Array.of(321, 654));
process.stdout.write(`\n${JSON.stringify({ version: binding.TF_Version, gpu: binding.isUsingGpuDevice() })}\n`);
