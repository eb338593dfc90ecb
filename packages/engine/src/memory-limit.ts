import { totalmem } from 'node:os';
import { ClipyardError } from '@clipyard/contracts';
import type { GraphCost } from './graph/cost.js';

/** Memory that this process may have: the machine's, or less in a container, bytes. */
function memoryLimit(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/**
 * Refuses a program that this machine cannot hold, before memory is asked for: one with a node whose operands and results
 * alone are too large, which no order or fusion helps. Throws `engine_out_of_memory`.
 */
export function checkMemory(program: string, cost: GraphCost): void {
  if (cost.largestNodeBytes > memoryLimit()) throw outOfMemory(program, cost, 'refused before it was compiled');
}

/** Whether a message of a runtime says that an allocation failed. */
export const isOutOfMemory = (message: string): boolean =>
  /failed to allocate memory|bad[ _]alloc|allocation failed|out of memory|OOM when allocating/i.test(message);

export function outOfMemory(program: string, cost: GraphCost, reason: string, cause?: unknown): ClipyardError {
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return new ClipyardError(
    'engine_out_of_memory',
    `\`${program}\` needs up to ${gib(cost.inputBytes + cost.outputBytes + cost.peakBytes)} (${gib(cost.inputBytes)} of inputs, ${gib(cost.outputBytes)} of outputs, ${gib(cost.peakBytes)} in between), and there are ${gib(memoryLimit())} in all: ${reason}. Lower batch.micro, or use a smaller model.`,
    { cause },
  );
}
