import type { Tensor } from '@tensorflow/tfjs-core';

/**
 * The Engine port: turns a function of tfjs ops into a Program for fixed shapes, as `jit` does elsewhere. The function
 * is run once while compiling; it must not read tensor values, and whatever differs from run to run is an input.
 */
export type DType = 'float32' | 'int32';
export type TypedArray = Float32Array | Int32Array;

export interface TensorSpec {
  readonly shape: readonly number[];
  /** Default float32. */
  readonly dtype?: DType;
}

export type Specs = Readonly<Record<string, TensorSpec>>;
/** Flat, row-major values by input or output name; views of larger buffers are welcome, and `onnxruntime` copies none. */
export type Buffers = Readonly<Record<string, TypedArray>>;
/** Gets tensors by input name and returns tensors by output name. */
export type TensorFunction = (inputs: Record<string, Tensor>) => Record<string, Tensor>;

export type ComputePrecision = 'fp32' | 'bf16' | 'fp16';

export interface CompileOptions {
  /** For messages and profiles. */
  readonly name: string;
  /**
   * What the operands of matrix products and convolutions are rounded to, to nearest even; products add up in float32. Default fp32: not at
   * all. Units of 16 bits are not used: this shows on every engine what they would compute.
   */
  readonly compute?: ComputePrecision;
  /** Outputs that may be written over an input (of a staged program: over one that no later stage reads), by name. Throws `engine_unsupported` where that would change results. */
  readonly inPlace?: Readonly<Record<string, string>>;
}

export interface Program {
  readonly name: string;
  readonly inputs: Specs;
  readonly outputs: Specs;
  /**
   * Runs once. Every input must be given, with the length of its shape. An output given in `outputs` is written there
   * (it must not overlap an input, but for those of `inPlace`), every other one to a new array. Resolves with all outputs. Throws `engine_failed`.
   */
  run(inputs: Buffers, outputs?: Buffers): Promise<Record<string, TypedArray>>;
  dispose(): Promise<void>;
}

export interface StagedOptions extends CompileOptions {
  /** How many runs are kept side by side, default 1. Each takes the memory of what later stages read of earlier ones. */
  readonly tapes?: number;
}

export interface Stage {
  /** What arrives for it: what is in no late group, then one group after another. */
  readonly inputs: Specs;
  /** What can be known by then, and could not before. */
  readonly outputs: Specs;
}

/**
 * A program cut into stages: what does not depend on late inputs runs first, then what waits for the first group of them,
 * and so on, with what later stages need kept on a tape. So a backward pass can wait for cotangents that other ranks help to
 * compute, without encoding twice, and a layer for statistics of all ranks.
 */
export interface StagedProgram {
  readonly name: string;
  readonly inputs: Specs;
  readonly stages: readonly Stage[];
  /**
   * Runs a stage after the one before on the same tape, from 0, default 0; the last may run again, and the first begins anew.
   * The arrays given to earlier stages must not have changed since, but for those that `inPlace` writes over.
   */
  run(stage: number, inputs: Buffers, outputs?: Buffers, tape?: number): Promise<Record<string, TypedArray>>;
  dispose(): Promise<void>;
}

export interface Engine {
  readonly name: 'onnxruntime' | 'tensorflow' | 'cpu';
  /** What it computes on. */
  readonly device: 'cpu' | 'gpu';
  /** Throws `engine_unsupported` for an operation it lacks. */
  compile(fn: TensorFunction, inputs: Specs, options: CompileOptions): Promise<Program>;
  /** `late`: groups of inputs in the order in which they arrive after the others, a stage for each. */
  compileStaged(
    fn: TensorFunction,
    inputs: Specs,
    late: readonly (readonly string[])[],
    options: StagedOptions,
  ): Promise<StagedProgram>;
  /** Zeroed memory as the engine likes it best. */
  allocate<D extends DType>(dtype: D, length: number): D extends 'float32' ? Float32Array : Int32Array;
  close(): Promise<void>;
}
