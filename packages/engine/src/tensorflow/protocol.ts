import type { Buffers, TypedArray } from '../engine.js';
import type { TensorFlowProgram } from './lower.js';

/** What a stage of a program does with tapes, by names of values. */
export interface TapeUse {
  /** Outputs that stay on the device for later stages. */
  readonly keep: readonly string[];
  /** What no later stage reads. */
  readonly forget: readonly string[];
  /** The program of the first stage, which has the tapes; undefined: this one. */
  readonly first: number | undefined;
}

/** What TensorFlow's thread is told; each call is answered once. */
export type Request =
  | {
      readonly type: 'load';
      readonly id: number;
      readonly program: TensorFlowProgram;
      readonly tape: TapeUse;
      /** One number in shared memory; other than 0: runs end early. */
      readonly stop: Int32Array;
    }
  | {
      readonly type: 'run';
      readonly id: number;
      readonly inputs: Buffers;
      /** In shared memory. */
      readonly outputs: Buffers;
      /** Which tape to write and to read. */
      readonly tape: number;
    }
  | { readonly type: 'dispose'; readonly id: number };

export interface Call {
  readonly call: number;
  readonly request: Request;
}

export interface Answer {
  readonly call: number;
  readonly error?: string;
  /** Outputs of a run that were not written to shared memory. */
  readonly results?: Record<string, TypedArray>;
}

/** The first message of the thread. */
export type Greeting =
  | { readonly type: 'loaded'; readonly version: string; readonly gpu: boolean }
  | { readonly type: 'failed'; readonly error: string };

/** What the thread is started with. */
export interface ThreadData {
  readonly bindingPath: string;
}
