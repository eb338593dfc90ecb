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

/** Likewise cut in two; `finish` gets what `begin` was given for this tape. */
export interface StagedRunnable {
  begin(given: Buffers, outputs: Buffers, tape: number): Results;
  finish(begun: Buffers, given: Buffers, outputs: Buffers, tape: number): Results;
  dispose(): Promise<void>;
}

interface Signature {
  readonly name: string;
  readonly inputs: Specs;
}

interface StagedSignature extends Signature {
  readonly late: readonly string[];
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

export function stagedProgram(
  { name, inputs, late, tapes }: StagedSignature,
  { earlyOutputs, lateOutputs }: Pick<StagedProgram, 'earlyOutputs' | 'lateOutputs'>,
  runnable: StagedRunnable,
): StagedProgram {
  const lateInputs = selectSpecs(inputs, (input) => late.includes(input));
  const earlyInputs = selectSpecs(inputs, (input) => !late.includes(input));
  const begun: (Buffers | undefined)[] = new Array(tapes);
  return {
    name,
    inputs,
    earlyOutputs,
    lateOutputs,
    begin: async (given, targets = {}, tape = 0) => {
      assert(tape < tapes, `there are ${tapes} tapes`);
      checkInputs(name, earlyInputs, given);
      checkOutputs(name, earlyOutputs, targets);
      begun[tape] = given;
      return runnable.begin(given, targets, tape);
    },
    finish: async (given, targets = {}, tape = 0) => {
      const early = begun[tape];
      assert(early !== undefined, 'finish before begin');
      checkInputs(name, lateInputs, given);
      checkOutputs(name, lateOutputs, targets);
      return runnable.finish(early, given, targets, tape);
    },
    dispose: () => runnable.dispose(),
  };
}

export const selectSpecs = (specs: Specs, wanted: (name: string) => boolean): Specs =>
  Object.fromEntries(Object.entries(specs).filter(([name]) => wanted(name)));

export const specsOf = (values: ReadonlyMap<string, Value>): Specs =>
  Object.fromEntries([...values].map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype as DType }]));
