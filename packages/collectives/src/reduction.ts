import type { NumericArray, ReduceOperation } from '@clipyard/contracts';

/** Elements that are combined at a time: the accumulator stays in the cache. */
const BLOCK_ELEMENTS = 2048;

/**
 * `output` = the combination of `parts`, element by element, in their order: ((p0 + p1) + p2) + ..., each step rounded to
 * the element type. So the result does not depend on who computes it or on when the parts came. `output` may be one of
 * the parts.
 */
export function reduceInOrder<T extends NumericArray>(
  parts: readonly T[],
  output: T,
  operation: ReduceOperation,
): void {
  const accumulator = output.slice(0, BLOCK_ELEMENTS) as T;
  for (let start = 0; start < output.length; start += BLOCK_ELEMENTS) {
    const end = Math.min(start + BLOCK_ELEMENTS, output.length);
    accumulator.set(parts[0]!.subarray(start, end));
    for (let i = 1; i < parts.length; i++) combineInto(accumulator, parts[i]!.subarray(start, end) as T, operation);
    output.set(end - start === accumulator.length ? accumulator : accumulator.subarray(0, end - start), start);
  }
}

function combineInto(target: NumericArray, source: NumericArray, operation: ReduceOperation): void {
  switch (operation) {
    case 'sum':
      for (let i = 0; i < source.length; i++) target[i] = target[i]! + source[i]!;
      return;
    case 'max':
      for (let i = 0; i < source.length; i++) target[i] = Math.max(target[i]!, source[i]!);
      return;
    case 'min':
      for (let i = 0; i < source.length; i++) target[i] = Math.min(target[i]!, source[i]!);
      return;
  }
}
