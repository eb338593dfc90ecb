import assert from 'node:assert';

type Numbers = ArrayLike<number>;

export interface Tolerance {
  /** Relative to the expected value; default 1e-5. */
  readonly rtol?: number;
  /** Absolute; default 1e-8. */
  readonly atol?: number;
}

/** Whether |actual - expected| <= atol + rtol * |expected| everywhere, as numpy's allclose; NaN equals nothing. */
export function allclose(actual: Numbers, expected: Numbers, tolerance: Tolerance = {}): boolean {
  return actual.length === expected.length && worstExcess(actual, expected, tolerance).excess <= 0;
}

/** Throws, naming the worst element, unless `allclose`. */
export function expectAllClose(actual: Numbers, expected: Numbers, tolerance: Tolerance = {}): void {
  assert(actual.length === expected.length, `${actual.length} values, expected ${expected.length}`);
  const { index, excess } = worstExcess(actual, expected, tolerance);
  assert(excess <= 0, `element ${index} of ${actual.length} is ${actual[index]}, expected ${expected[index]}`);
}

function worstExcess(actual: Numbers, expected: Numbers, { rtol = 1e-5, atol = 1e-8 }: Tolerance) {
  let index = 0;
  let worst = -Infinity;
  for (let i = 0; i < actual.length; i++) {
    const same = actual[i] === expected[i];
    const difference = same ? 0 : Math.abs(actual[i]! - expected[i]!);
    const excess = same ? -Infinity : difference - (atol + rtol * Math.abs(expected[i]!));
    if (excess > worst || Number.isNaN(excess)) {
      index = i;
      worst = Number.isNaN(excess) ? Infinity : excess;
    }
    if (worst === Infinity) break;
  }
  return { index, excess: worst };
}

/** |actual - expected| / |expected|, Euclidean over all elements. */
export function relativeDifference(actual: Numbers, expected: Numbers): number {
  assert(actual.length === expected.length, `${actual.length} values, expected ${expected.length}`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < actual.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}
