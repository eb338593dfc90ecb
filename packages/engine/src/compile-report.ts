import type { GraphCost } from './graph/cost.js';

/** What compiling one program came to. */
export interface CompileReport {
  readonly program: string;
  readonly cost: GraphCost;
  /** From the function to a program that can run, without waiting for other programs. */
  readonly seconds: number;
  /** An equal program had been compiled, which this one shares. */
  readonly reused: boolean;
}

export type OnCompile = (report: CompileReport) => void;
