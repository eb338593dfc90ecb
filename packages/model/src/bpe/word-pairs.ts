import { pairKey } from './bpe-vocabulary.js';
import { BYTE_IDS } from './byte-alphabet.js';
import { type PairCount, PairHeap } from './pair-heap.js';

const NONE = -1;

/**
 * All different words as chains of symbols, with the count of each pair of neighbours kept up to date: a merge touches only
 * the places of its pair. Counts of a pair only fall once both its symbols are there, so the heap is corrected on the way out.
 */
export class WordPairs {
  readonly #symbols: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #wordOf: Int32Array;
  readonly #wordCounts: Float64Array;
  readonly #counts = new Map<number, number>();
  readonly #places = new Map<number, number[]>();
  readonly #heap = new PairHeap();

  constructor(words: ReadonlyMap<string, number>) {
    const utf8 = new TextEncoder();
    const encoded = [...words.keys()].map((word) => utf8.encode(word));
    const length = encoded.reduce((total, bytes) => total + bytes.length, 0);
    this.#symbols = new Int32Array(length);
    this.#next = new Int32Array(length).fill(NONE);
    this.#previous = new Int32Array(length).fill(NONE);
    this.#wordOf = new Int32Array(length);
    this.#wordCounts = Float64Array.from(words.values());
    let at = 0;
    for (const [word, bytes] of encoded.entries()) {
      const start = at;
      for (const [i, byte] of bytes.entries()) {
        this.#symbols[at] = BYTE_IDS[byte]! + (i === bytes.length - 1 ? BYTE_IDS.length : 0);
        this.#wordOf[at++] = word;
      }
      for (let place = start; place + 1 < at; place++) {
        this.#next[place] = place + 1;
        this.#previous[place + 1] = place;
        this.#add(this.#symbols[place]!, this.#symbols[place + 1]!, place);
      }
    }
    for (const [key, count] of this.#counts) this.#heap.push({ key, count });
  }

  /** Takes the most frequent pair that is left; undefined when there is none. */
  takeMostFrequent(): PairCount | undefined {
    for (;;) {
      const top = this.#heap.pop();
      if (top === undefined) return undefined;
      const count = this.#counts.get(top.key) ?? 0;
      if (count === top.count) return top;
      if (count > 0) this.#heap.push({ key: top.key, count });
    }
  }

  /** Joins every place of a pair into a new symbol, from left to right. */
  merge(left: number, right: number, merged: number): void {
    const key = pairKey(left, right);
    const born = new Set<number>();
    for (const place of this.#places.get(key) ?? []) {
      const second = this.#next[place]!;
      if (this.#symbols[place] !== left || second === NONE || this.#symbols[second] !== right) continue;
      const before = this.#previous[place]!;
      const after = this.#next[second]!;
      if (before !== NONE) {
        const symbol = this.#symbols[before]!;
        this.#subtract(symbol, left, place);
        born.add(this.#add(symbol, merged, before));
      }
      if (after !== NONE) {
        const symbol = this.#symbols[after]!;
        this.#subtract(right, symbol, place);
        born.add(this.#add(merged, symbol, place));
        this.#previous[after] = place;
      }
      this.#symbols[place] = merged;
      this.#symbols[second] = NONE;
      this.#next[place] = after;
    }
    this.#counts.delete(key);
    this.#places.delete(key);
    for (const pair of born) {
      const count = this.#counts.get(pair) ?? 0;
      if (count > 0) this.#heap.push({ key: pair, count });
    }
  }

  #add(left: number, right: number, place: number): number {
    const key = pairKey(left, right);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + this.#wordCounts[this.#wordOf[place]!]!);
    const places = this.#places.get(key);
    if (places === undefined) this.#places.set(key, [place]);
    else places.push(place);
    return key;
  }

  #subtract(left: number, right: number, place: number): void {
    const key = pairKey(left, right);
    const count = (this.#counts.get(key) ?? 0) - this.#wordCounts[this.#wordOf[place]!]!;
    this.#counts.set(key, count);
  }
}
