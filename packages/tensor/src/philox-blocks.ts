import { philoxInto, philoxKeys } from './philox.js';
import { type Code, code, instantiate, moduleOf } from './wasm-code.js';

/** Blocks made by one call: their words stay in the first-level cache until they are used. */
export const MAX_BLOCKS = 1024;

export interface PhiloxBlocks {
  /**
   * The words of `count` blocks, at most MAX_BLOCKS, of which the low word of the counter goes up by one from `c0` on.
   * They are overwritten by the next call.
   */
  words(count: number, k0: number, k1: number, c0: number, c1: number, c2: number, c3: number): Uint32Array;
}

/** Many blocks of Philox at a time, by the processor's vector instructions where WebAssembly has them. */
export function philoxBlocks(): PhiloxBlocks {
  const module = instantiate(philoxModule());
  if (module === undefined) return scalarPhiloxBlocks();
  const { run, memory } = module;
  const all = new Uint32Array(memory);
  return {
    words(count, k0, k1, c0, c1, c2, c3) {
      run(Math.ceil(count / LANES), k0, k1, c0, c1, c2, c3);
      return all.subarray(0, 4 * count);
    },
  };
}

/** The same words one block at a time. */
export function scalarPhiloxBlocks(): PhiloxBlocks {
  const all = new Uint32Array(4 * MAX_BLOCKS);
  return {
    words(count, k0, k1, c0, c1, c2, c3) {
      for (let i = 0; i < count; i++) philoxInto(all.subarray(4 * i, 4 * i + 4), k0, k1, c0 + i, c1, c2, c3);
      return all.subarray(0, 4 * count);
    },
  };
}

/** Blocks side by side, one in each 32-bit lane of a vector. */
const LANES = 4;

function philoxModule(): Uint8Array {
  const { get, set, tee, i32, add, sub, splat, xor, addLanes, lanes, lowProducts, highProducts, pick, store, loop } =
    code;
  const [GROUPS, K0, K1, C0, C1, C2, C3, AT] = [0, 1, 2, 3, 4, 5, 6, 7];
  const [X0, X1, X2, X3, LOW, HIGH, M0, M1, KEY0, KEY1, KEYS] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
  const { multipliers, weyl, rounds } = philoxKeys;

  /** Leaves the products of the lanes of `x` with a multiplier in LOW and HIGH, 64 bits each. */
  const products = (x: number, multiplier: number): Code => [
    ...set(LOW, lowProducts(get(x), get(multiplier))),
    ...set(HIGH, highProducts(get(x), get(multiplier))),
  ];
  const lowWords = pick(get(LOW), get(HIGH), [0, 2, 4, 6]);
  const highWords = pick(get(LOW), get(HIGH), [1, 3, 5, 7]);
  const round = (number: number): Code => {
    const key = (word: 0 | 1): Code => addLanes(get([KEY0, KEY1][word]!), splat(i32(Math.imul(weyl[word], number))));
    // The old X3 and X1 are used before they are replaced: X2' = high0 ^ X3 ^ k1, X3' = low0; X0' = high1 ^ X1 ^ k0, X1' = low1.
    return [
      ...products(X0, M0),
      ...set(X3, xor(get(X3), xor(highWords, key(1)))),
      ...set(KEYS, lowWords),
      ...products(X2, M1),
      ...set(X0, xor(get(X1), xor(highWords, key(0)))),
      ...set(X1, lowWords),
      ...set(X2, get(X3)),
      ...set(X3, get(KEYS)),
    ];
  };
  /** From a word of four blocks in each vector to a block in each. */
  const transpose: Code = [
    ...set(LOW, pick(get(X0), get(X1), [0, 4, 1, 5])),
    ...set(HIGH, pick(get(X2), get(X3), [0, 4, 1, 5])),
    ...store(get(AT), pick(get(LOW), get(HIGH), [0, 1, 4, 5]), 0),
    ...store(get(AT), pick(get(LOW), get(HIGH), [2, 3, 6, 7]), 16),
    ...set(LOW, pick(get(X0), get(X1), [2, 6, 3, 7])),
    ...set(HIGH, pick(get(X2), get(X3), [2, 6, 3, 7])),
    ...store(get(AT), pick(get(LOW), get(HIGH), [0, 1, 4, 5]), 32),
    ...store(get(AT), pick(get(LOW), get(HIGH), [2, 3, 6, 7]), 48),
  ];
  const group: Code = [
    ...set(X0, addLanes(splat(get(C0)), lanes([0, 1, 2, 3]))),
    ...set(X1, splat(get(C1))),
    ...set(X2, splat(get(C2))),
    ...set(X3, splat(get(C3))),
    ...Array.from({ length: rounds }, (_, number) => round(number)).flat(),
    ...transpose,
    ...set(AT, add(get(AT), i32(64))),
    ...set(C0, add(get(C0), i32(LANES))),
    ...tee(GROUPS, sub(get(GROUPS), i32(1))),
  ];
  const body: Code = [
    ...set(M0, splat(i32(multipliers[0]))),
    ...set(M1, splat(i32(multipliers[1]))),
    ...set(KEY0, splat(get(K0))),
    ...set(KEY1, splat(get(K1))),
    ...loop(group),
  ];
  return moduleOf(body, { parameters: 7, integers: 1, vectors: 11 });
}
