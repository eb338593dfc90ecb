import assert from 'node:assert';
import type { Tensor } from '@tensorflow/tfjs-core';
import { compiledProgram, selectSpecs, stagedProgram } from './compiled-program.js';
import { withRounding } from './cpu-rounding.js';
import type {
  Buffers,
  CompileOptions,
  ComputePrecision,
  DType,
  Engine,
  Program,
  Specs,
  StagedOptions,
  StagedProgram,
  TensorFunction,
  TypedArray,
} from './engine.js';
import { installGradients } from './gradients.js';
import { onBackend, record, unsupported } from './graph/recorder.js';
import { outputStages } from './graph/split.js';
import { tf } from './tfjs.js';

const CPU = 'cpu';

/** Runs functions op by op on tfjs's plain JavaScript backend: slow, and the reference in tests. */
export class CpuEngine implements Engine {
  readonly name = 'cpu';
  readonly device = 'cpu';

  constructor() {
    installGradients();
  }

  async compile(fn: TensorFunction, inputs: Specs, options: CompileOptions): Promise<Program> {
    const outputs = trial(options.name, fn, inputs);
    return compiledProgram({ name: options.name, inputs }, outputs, {
      run: async (given, targets) => evaluate(fn, inputs, given, targets, options.compute),
      dispose: async () => {},
    });
  }

  async compileStaged(
    fn: TensorFunction,
    inputs: Specs,
    late: readonly (readonly string[])[],
    options: StagedOptions,
  ): Promise<StagedProgram> {
    const outputs = trial(options.name, fn, inputs);
    const stageOf = outputStages(record('stages', fn, inputs), late);
    const unknown = zeros(selectSpecs(inputs, (name) => late.flat().includes(name)));
    return stagedProgram(
      { name: options.name, inputs, late, tapes: options.tapes ?? 1 },
      [[], ...late].map((_, stage) => selectSpecs(outputs, (name) => stageOf.get(name) === stage)),
      {
        run: async (stage, given, targets) => {
          const results = evaluate(fn, inputs, { ...unknown, ...given }, targets, options.compute);
          return Object.fromEntries(Object.entries(results).filter(([name]) => stageOf.get(name) === stage));
        },
        dispose: async () => {},
      },
    );
  }

  allocate<D extends DType>(dtype: D, length: number): D extends 'float32' ? Float32Array : Int32Array {
    return (dtype === 'float32' ? new Float32Array(length) : new Int32Array(length)) as D extends 'float32'
      ? Float32Array
      : Int32Array;
  }

  async close(): Promise<void> {}
}

const zeros = (specs: Specs): Record<string, TypedArray> =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { shape, dtype }]) => {
      const length = shape.reduce((product, extent) => product * extent, 1);
      return [name, dtype === 'int32' ? new Int32Array(length) : new Float32Array(length)];
    }),
  );

function tensors(fn: TensorFunction, specs: Specs, given: Buffers): Record<string, Tensor> {
  const inputs = Object.fromEntries(
    Object.entries(specs).map(([name, { shape, dtype }]) => {
      const values = given[name];
      assert(values !== undefined, `no value for ${name}`);
      return [name, tf.tensor(values.slice(), [...shape], dtype ?? 'float32')];
    }),
  );
  return fn(inputs);
}

function evaluate(
  fn: TensorFunction,
  specs: Specs,
  given: Buffers,
  targets: Buffers = {},
  compute: ComputePrecision = 'fp32',
): Record<string, TypedArray> {
  return onBackend(CPU, () => {
    const results: Record<string, TypedArray> = {};
    tf.tidy(() => {
      const outputs = withRounding(compute, () => tensors(fn, specs, given));
      for (const [name, tensor] of Object.entries(outputs)) {
        const values = tensor.dataSync() as TypedArray;
        const target = targets[name];
        if (target === undefined) results[name] = values.slice();
        else {
          target.set(values);
          results[name] = target;
        }
      }
      tf.dispose(outputs); // `tf.keep` may have kept some from the tidying
    });
    return results;
  });
}

/** Shapes of the outputs, by running once on zeros. */
function trial(program: string, fn: TensorFunction, specs: Specs): Specs {
  return onBackend(CPU, () => {
    const outputs: Record<string, { shape: number[]; dtype: DType }> = {};
    unsupported(program, () =>
      tf.tidy(() => {
        const results = tensors(fn, specs, zeros(specs));
        for (const [name, { shape, dtype }] of Object.entries(results))
          outputs[name] = { shape, dtype: dtype as DType };
        tf.dispose(results);
      }),
    );
    return outputs;
  });
}
