import type { Tensor } from '@tensorflow/tfjs-core';
import { tf } from '../tfjs.js';
import { inGradientOf, SourceLines } from './source-line.js';

/** What we use of tfjs's tape, of which its types say nothing. */
interface TapeNode {
  readonly kernelName: string;
  gradient?: (cotangents: Tensor[]) => Record<string, () => Tensor>;
}
interface Tape {
  readonly state: { readonly activeTape: TapeNode[] };
  addTapeNode(...operation: unknown[]): void;
}

const lines = new SourceLines();

/**
 * Runs `fn` so that what it differentiates knows the lines of the model: an operation of a backward pass, or an error in
 * it, names the line whose gradient it is. tfjs tells a gradient function what was computed, not where, so the line is
 * noted as tfjs puts the operation on its tape.
 */
export function noteForwardLines<T>(fn: () => T): T {
  const tape = tf.engine() as unknown as Tape;
  const { addTapeNode } = tape;
  tape.addTapeNode = function (this: Tape, ...operation: unknown[]): void {
    addTapeNode.apply(this, operation);
    const source = lines.here();
    if (source !== undefined) nameGradient(this.state.activeTape.at(-1)!, source);
  };
  try {
    return fn();
  } finally {
    tape.addTapeNode = addTapeNode;
  }
}

function nameGradient(node: TapeNode, source: string): void {
  const gradient = node.gradient ?? noGradient(node.kernelName);
  node.gradient = (cotangents) =>
    Object.fromEntries(
      Object.entries(inGradientOf(source, () => gradient(cotangents))).map(([input, of]) => [
        input,
        () => inGradientOf(source, of),
      ]),
    );
}

/** tfjs finds out, too, but only when it is back where the gradient was asked for. */
const noGradient = (kernelName: string) => (): never => {
  throw new Error(`Cannot compute gradient: gradient function not found for ${kernelName}.`);
};
