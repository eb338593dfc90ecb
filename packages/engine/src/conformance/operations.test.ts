import { builtTensorFlow, expectAllClose, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { record } from '../graph/recorder.js';
import { RECORDER } from '../graph/recorder-backend.js';
import { type Engine, type Specs, type Tensor, type TensorFunction, tf } from '../index.js';
import { ELEMENTWISE_CASES } from './elementwise-cases.js';
import { LAYER_CASES } from './layer-cases.js';
import type { OperationCase } from './operation-case.js';
import { PICTURE_CASES } from './picture-cases.js';
import type { ReferenceArray } from './reference-array.js';
import { SHAPE_CASES } from './shape-cases.js';
import { testEngines } from './test-engines.js';

const engines = testEngines(builtTensorFlow());

const GROUPS = {
  'elementwise operation': ELEMENTWISE_CASES,
  'shapes and sums': SHAPE_CASES,
  layers: LAYER_CASES,
  pictures: PICTURE_CASES,
};

type Values = Record<string, Float32Array | Int32Array>;

const specsOf = ({ inputs }: OperationCase): Specs =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, integers }]) => [
      name,
      { shape, dtype: integers === undefined ? 'float32' : 'int32' },
    ]),
  );

function valuesOf({ name: caseName, inputs }: OperationCase): Values {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, min = -2, max = 2, integers }]) => {
      const length = shape.reduce((product, extent) => product * extent, 1);
      return [
        name,
        integers === undefined
          ? formulaValues(`${caseName}: ${name}`, length, (max - min) / 2, (max + min) / 2)
          : Int32Array.from(integers),
      ];
    }),
  );
}

const referenceOf = (of: OperationCase, values: Record<string, ArrayLike<number>>): ReferenceArray =>
  of.reference(
    Object.fromEntries(
      Object.entries(of.inputs).map(([name, { shape }]) => [name, { shape, data: Float64Array.from(values[name]!) }]),
    ),
  );

const weightsOf = (of: OperationCase, length: number): Float32Array => formulaValues(`${of.name}: weights`, length);

/** Gradients of Σ weight ∘ output by central differences of the reference. */
function referenceGradients(of: OperationCase, values: Values): Record<string, Float64Array> {
  const h = 1e-5;
  const weights = weightsOf(of, referenceOf(of, values).data.length);
  const loss = (name: string, i: number, by: number) => {
    const moved = Float64Array.from(values[name]!);
    moved[i]! += by;
    return referenceOf(of, { ...values, [name]: moved }).data.reduce((sum, y, k) => sum + y * weights[k]!, 0);
  };
  return Object.fromEntries(
    differentiable(of).map((name) => [
      name,
      Float64Array.from(values[name]!, (_, i) => (loss(name, i, h) - loss(name, i, -h)) / (2 * h)),
    ]),
  );
}

const differentiable = (of: OperationCase): string[] =>
  Object.keys(of.inputs).filter((name) => of.inputs[name]!.integers === undefined);

/** Σ weights ∘ output, differentiated by the inputs. */
const gradientsOf =
  (of: OperationCase): TensorFunction =>
  ({ weights, ...inputs }) => {
    const names = differentiable(of);
    const loss = (...tensors: Tensor[]) => {
      const moved = Object.fromEntries(names.map((name, i) => [name, tensors[i]!]));
      return tf.sum(tf.mul(of.compute({ ...inputs, ...moved }), weights!));
    };
    const gradients = tf.grads(loss)(names.map((name) => inputs[name]!));
    return Object.fromEntries(names.map((name, i) => [`d ${name}`, gradients[i]!]));
  };

const gradientSpecs = (of: OperationCase, outputShape: readonly number[]): Specs => ({
  ...specsOf(of),
  weights: { shape: outputShape },
});

describe.each(engines.names)('on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 2);
  });
  afterAll(() => engine.close());

  describe.each(Object.entries(GROUPS))('%s', (_title, all) => {
    const cases = all.filter((of) => of.except !== name);

    it.each(cases)('value of $name', async (of) => {
      const values = valuesOf(of);
      const expected = referenceOf(of, values);
      const program = await engine.compile((inputs) => ({ y: of.compute(inputs) }), specsOf(of), { name: of.name });
      expect(program.outputs.y!.shape).toEqual(expected.shape);
      const { y } = await program.run(values);
      await program.dispose();
      expectAllClose(y!, expected.data, { rtol: 2e-5, atol: 2e-6 });
    });

    it.each(cases.filter((of) => of.gradient !== false))('gradient of $name', async (of) => {
      const values = valuesOf(of);
      const { shape } = referenceOf(of, values);
      const length = shape.reduce((product, extent) => product * extent, 1);
      const program = await engine.compile(gradientsOf(of), gradientSpecs(of, shape), {
        name: `gradient of ${of.name}`,
      });
      const actual = await program.run({ ...values, weights: weightsOf(of, length) });
      await program.dispose();
      for (const [input, gradient] of Object.entries(referenceGradients(of, values))) {
        const largest = gradient.reduce((max, g) => Math.max(max, Math.abs(g)), 0);
        expectAllClose(actual[`d ${input}`]!, gradient, { rtol: 1e-4, atol: 1e-5 * Math.max(1, largest) });
      }
    });
  });
});

it('leaves out no operation that can be recorded', () => {
  record('registers', ({ x }) => ({ x: x! }), { x: { shape: [1] } });
  const kernels = tf.getKernelsForBackend(RECORDER);
  const unused = new Set(kernels.map((kernel) => kernel.kernelName));
  const originals = kernels.map((kernel) => kernel.kernelFunc);
  kernels.forEach((kernel, i) => {
    kernel.kernelFunc = (parameters) => {
      unused.delete(kernel.kernelName);
      return originals[i]!(parameters);
    };
  });
  for (const of of Object.values(GROUPS).flat()) {
    record(of.name, (inputs) => ({ y: of.compute(inputs) }), specsOf(of));
    const { shape } = referenceOf(of, valuesOf(of));
    if (of.gradient !== false) record(of.name, gradientsOf(of), gradientSpecs(of, shape));
  }
  kernels.forEach((kernel, i) => {
    kernel.kernelFunc = originals[i]!;
  });
  expect(kernels.length).toBeGreaterThan(50);
  expect([...unused]).toEqual([]);
});

it('covers the tensorflow engine', (context) => {
  if (engines.missing !== undefined) context.skip(`the tensorflow engine is missing: ${engines.missing}`);
  expect(engines.names).toContain('tensorflow');
});
