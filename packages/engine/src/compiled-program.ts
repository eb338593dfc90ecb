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

/** Likewise cut into stages; each gets what its tape has been given so far. */
export interface StagedRunnable {
  run(stage: number, given: Buffers, outputs: Buffers, tape: number): Results;
  dispose(): Promise<void>;
}

interface Signature {
  readonly name: string;
  readonly inputs: Specs;
}

interface StagedSignature extends Signature {
  readonly late: readonly (readonly string[])[];
  readonly tapes: number;
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

/** `outputs`: of each stage. */
export function stagedProgram(
  { name, inputs, late, tapes }: StagedSignature,
  outputs: readonly Specs[],
  runnable: StagedRunnable,
): StagedProgram {
  const groups = [Object.keys(inputs).filter((input) => !late.flat().includes(input)), ...late];
  const stages = groups.map((group, stage) => ({
    inputs: selectSpecs(inputs, (input) => group.includes(input)),
    outputs: outputs[stage]!,
  }));
  const last = late.length;
  const states = Array.from({ length: tapes }, () => ({ given: {} as Record<string, TypedArray>, ran: -1 }));
  return {
    name,
    inputs,
    stages,
    run: async (stage, given, targets = {}, tape = 0) => {
      const state = states[tape];
      assert(state !== undefined, `there are ${tapes} tapes`);
      const follows = stage === 0 || stage === state.ran + 1 || (stage === last && state.ran === last);
      assert(follows && stage <= last, `stage ${stage} after stage ${state.ran} of ${last + 1}`);
      checkInputs(name, stages[stage]!.inputs, given);
      checkOutputs(name, stages[stage]!.outputs, targets);
      state.given = stage === 0 ? { ...given } : Object.assign(state.given, given);
      state.ran = stage;
      return runnable.run(stage, state.given, targets, tape);
    },
    dispose: () => runnable.dispose(),
  };
}

export const selectSpecs = (specs: Specs, wanted: (name: string) => boolean): Specs =>
  Object.fromEntries(Object.entries(specs).filter(([name]) => wanted(name)));

export const specsOf = (values: ReadonlyMap<string, Value>): Specs =>
  Object.fromEntries([...values].map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype as DType }]));
