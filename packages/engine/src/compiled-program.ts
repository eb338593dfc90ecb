import assert from 'node:assert';
import { checkInputs, checkOutputs } from './check-buffers.js';
import type { Buffers, DType, Program, Specs, StagedProgram, TypedArray } from './engine.js';
import type { Value } from './graph/graph.js';

type Results = Promise<Record<string, TypedArray>>;

/** A program as a back end runs it, with inputs and outputs that have been checked. */
export interface Runnable {
  run(given: Buffers, outputs: Buffers): Results;
  dispose(): Promise<void>;
}

/** Likewise cut in two; `finish` gets what `begin` was given last. */
export interface StagedRunnable {
  begin(given: Buffers, outputs: Buffers): Results;
  finish(begun: Buffers, given: Buffers, outputs: Buffers): Results;
  dispose(): Promise<void>;
}

interface Signature {
  readonly name: string;
  readonly inputs: Specs;
}

export function compiledProgram({ name, inputs }: Signature, outputs: Specs, runnable: Runnable): Program {
  return {
    name,
    inputs,
    outputs,
    run: async (given, targets = {}) => {
      checkInputs(name, inputs, given);
      checkOutputs(name, outputs, targets);
      return runnable.run(given, targets);
    },
    dispose: () => runnable.dispose(),
  };
}

export function stagedProgram(
  { name, inputs, late }: Signature & { readonly late: readonly string[] },
  { earlyOutputs, lateOutputs }: Pick<StagedProgram, 'earlyOutputs' | 'lateOutputs'>,
  runnable: StagedRunnable,
): StagedProgram {
  const lateInputs = selectSpecs(inputs, (input) => late.includes(input));
  const earlyInputs = selectSpecs(inputs, (input) => !late.includes(input));
  let begun: Buffers | undefined;
  return {
    name,
    inputs,
    earlyOutputs,
    lateOutputs,
    begin: async (given, targets = {}) => {
      checkInputs(name, earlyInputs, given);
      checkOutputs(name, earlyOutputs, targets);
      begun = given;
      return runnable.begin(given, targets);
    },
    finish: async (given, targets = {}) => {
      assert(begun !== undefined, 'finish before begin');
      checkInputs(name, lateInputs, given);
      checkOutputs(name, lateOutputs, targets);
      return runnable.finish(begun, given, targets);
    },
    dispose: () => runnable.dispose(),
  };
}

export const selectSpecs = (specs: Specs, wanted: (name: string) => boolean): Specs =>
  Object.fromEntries(Object.entries(specs).filter(([name]) => wanted(name)));

export const specsOf = (values: ReadonlyMap<string, Value>): Specs =>
  Object.fromEntries([...values].map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype as DType }]));
