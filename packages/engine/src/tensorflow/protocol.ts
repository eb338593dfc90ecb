import type { Buffers, TypedArray } from '../engine.js';
import type { TensorFlowProgram } from './lower.js';

/** What TensorFlow's thread is told; each call is answered once. */
export type Request =
  | {
      readonly type: 'load';
      readonly id: number;
      readonly program: TensorFlowProgram;
      /** Outputs that stay on the device for the program that names this one as `keptFrom`. */
      readonly keep: readonly string[];
      readonly keptFrom: number | undefined;
      /** One number in shared memory; other than 0: runs end early. */
      readonly stop: Int32Array;
    }
  | {
      readonly type: 'run';
      readonly id: number;
      readonly inputs: Buffers;
      /** In shared memory. */
      readonly outputs: Buffers;
      /** Which of the kept sets to write or to read. */
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
