import { expectAllClose, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Specs, Tensor } from '../index.js';
import { openEngine, tf } from '../index.js';
import type { ReferenceArray } from './reference-array.js';

export const ENGINES = ['onnxruntime', 'cpu'] as const;

export interface CaseInput {
  readonly shape: readonly number[];
  /** Float32 values lie evenly in [min, max); default [-2, 2). */
  readonly min?: number;
  readonly max?: number;
  /** Makes it an int32 input, which has no gradient. */
  readonly integers?: readonly number[];
}

export interface OperationCase {
  readonly name: string;
  readonly inputs: Readonly<Record<string, CaseInput>>;
  readonly compute: (inputs: Record<string, Tensor>) => Tensor;
  readonly reference: (inputs: Record<string, ReferenceArray>) => ReferenceArray;
  /** An engine that gets it wrong; the case says why. */
  readonly except?: (typeof ENGINES)[number];
  /** Whether derivatives are checked too; default true. */
  readonly gradient?: boolean;
}

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

const weightOf = (of: OperationCase, length: number): Float32Array => formulaValues(`${of.name}: weights`, length);

/** Gradients of Σ weight ∘ output by central differences of the reference. */
function referenceGradients(of: OperationCase, values: Values): Record<string, Float64Array> {
  const h = 1e-5;
  const weights = weightOf(of, referenceOf(of, values).data.length);
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

async function engineGradients(engine: Engine, of: OperationCase, values: Values, outputShape: readonly number[]) {
  const names = differentiable(of);
  const program = await engine.compile(
    ({ weights, ...inputs }) => {
      const loss = (...tensors: Tensor[]) =>
        tf.sum(
          tf.mul(of.compute({ ...inputs, ...Object.fromEntries(names.map((n, i) => [n, tensors[i]!])) }), weights!),
        );
      const gradients = tf.grads(loss)(names.map((name) => inputs[name]!));
      return Object.fromEntries(names.map((name, i) => [`d ${name}`, gradients[i]!]));
    },
    { ...specsOf(of), weights: { shape: outputShape } },
    { name: `gradient of ${of.name}` },
  );
  const length = outputShape.reduce((product, extent) => product * extent, 1);
  const results = await program.run({ ...values, weights: weightOf(of, length) });
  await program.dispose();
  return results;
}

/** Checks every case on every engine: values against the reference, gradients against its central differences. */
export function conform(title: string, all: readonly OperationCase[]): void {
  describe.each(ENGINES)(`${title} on %s`, (name) => {
    const cases = all.filter((of) => of.except !== name);
    let engine: Engine;
    beforeAll(async () => {
      engine = await openEngine({ engine: name, threads: 2 });
    });
    afterAll(() => engine.close());

    it.each(cases)('$name', async (of) => {
      const values = valuesOf(of);
      const expected = referenceOf(of, values);
      const program = await engine.compile((inputs) => ({ y: of.compute(inputs) }), specsOf(of), { name: of.name });
      expect(program.outputs.y!.shape).toEqual(expected.shape);
      const { y } = await program.run(values);
      await program.dispose();
      expectAllClose(y!, expected.data, { rtol: 2e-5, atol: 2e-6 });
    });

    const withGradient = cases.filter((of) => of.gradient !== false);
    if (withGradient.length === 0) return;
    it.each(withGradient)('gradient of $name', async (of) => {
      const values = valuesOf(of);
      const expected = referenceGradients(of, values);
      const actual = await engineGradients(engine, of, values, referenceOf(of, values).shape);
      for (const [input, gradient] of Object.entries(expected)) {
        const largest = gradient.reduce((max, g) => Math.max(max, Math.abs(g)), 0);
        expectAllClose(actual[`d ${input}`]!, gradient, { rtol: 1e-4, atol: 1e-5 * Math.max(1, largest) });
      }
    });
  });
}
