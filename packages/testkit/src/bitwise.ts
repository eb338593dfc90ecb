import assert from 'node:assert';

/** Throws, naming the first element that differs, unless both arrays hold the same bytes. */
export function expectBitwise<T extends ArrayBufferView & ArrayLike<number>>(actual: T, expected: T): void {
  assert(
    actual.constructor === expected.constructor,
    `a ${actual.constructor.name}, not a ${expected.constructor.name}`,
  );
  assert(actual.length === expected.length, `${actual.length} elements, expected ${expected.length}`);
  if (Buffer.compare(bytesOf(actual), bytesOf(expected)) === 0) return;
  const index = Array.from(actual).findIndex((value, i) => !Object.is(value, expected[i]));
  assert.fail(`element ${index} of ${actual.length} is ${actual[index]}, expected ${expected[index]}, bit for bit`);
}

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
