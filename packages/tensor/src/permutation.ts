import assert from 'node:assert';
import { type PhiloxKey, philoxInto } from './philox.js';

const ROUNDS = 6;

/**
 * A pseudo-random bijection of [0, n), evaluated at any index in constant memory: a balanced Feistel network over the
 * smallest even number of bits that covers n, with Philox as round function, and cycle walking for indices that leave
 * the range (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). n is at most 2^52.
 */
export function feistelPermutation(n: number, key: PhiloxKey): (index: number) => number {
  assert(Number.isSafeInteger(n) && n >= 1 && n <= 2 ** 52, 'n is an integer in [1, 2^52]');
  let halfBits = 1;
  while (4 ** halfBits < n) halfBits++;
  const half = 2 ** halfBits;
  const mask = half - 1;
  const words = new Uint32Array(4);

  const encrypt = (value: number): number => {
    let left = Math.floor(value / half);
    let right = value % half;
    for (let round = 0; round < ROUNDS; round++) {
      philoxInto(words, key[0], key[1], right, round, n >>> 0, 0);
      const next = (left ^ words[0]!) & mask;
      left = right;
      right = next;
    }
    return left * half + right;
  };

  return (index) => {
    assert(Number.isSafeInteger(index) && index >= 0 && index < n, 'the index lies in [0, n)');
    // The walk ends: it follows the cycle of a bijection, which leads back into [0, n) at the latest at its start.
    let value = encrypt(index);
    while (value >= n) value = encrypt(value);
    return value;
  };
}
