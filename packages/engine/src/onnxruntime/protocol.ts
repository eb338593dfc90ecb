import type { ValueType } from '../graph/graph.js';
import type { Region } from './shared-memory.js';

/** Messages between the engine (on the rank's main thread) and the thread that holds the sessions. */
export interface Port {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: ValueType;
}

/** Where each port's values lie: region and byte offset, in the order of the program's ports. */
export type Placement = readonly (readonly [region: number, byteOffset: number])[];

export type ThreadRequest =
  | { readonly type: 'region'; readonly region: Region }
  | {
      readonly type: 'open';
      readonly call: number;
      readonly program: number;
      readonly model: Uint8Array;
      readonly inputs: readonly Port[];
      readonly outputs: readonly Port[];
      readonly threads: number;
    }
  | {
      readonly type: 'run';
      readonly call: number;
      readonly program: number;
      readonly inputs: Placement;
      readonly outputs: Placement;
    }
  | { readonly type: 'dispose'; readonly call: number; readonly program: number; readonly regions: readonly number[] };

export interface ThreadResponse {
  readonly call: number;
  /** Unset when the call succeeded. */
  readonly error?: string;
}

export const BYTES_PER_ELEMENT: Readonly<Record<ValueType, number>> = { float32: 4, int32: 4, bool: 1 };
