import { BYTE_CHARACTERS, BYTE_IDS, ID_BYTES } from './byte-alphabet.js';

const BYTES = 256;
/** Ids of single bytes: 256 within a word, 256 at its end. */
export const BYTE_TOKENS = 2 * BYTES;
/** Marks the last symbol of a word. */
export const END_OF_WORD = '</w>';
/** Start and end-of-text, the two largest ids. */
const SPECIAL_TOKENS = 2;
/** Largest vocabulary; a pair of ids fits 32 bits. */
export const MAX_BPE_VOCABULARY = 65_536;

/** Token ids of a vocabulary with so many merges, special ones included. */
export const vocabularySize = (merges: number): number => BYTE_TOKENS + merges + SPECIAL_TOKENS;
/** Merges of a vocabulary of that size. */
export const mergeCount = (vocabSize: number): number => vocabSize - vocabularySize(0);

export const pairKey = (left: number, right: number): number => left * MAX_BPE_VOCABULARY + right;

/** A merge that does not make one new symbol of two known ones; `row` counts from 0. */
export class MergeError extends Error {
  constructor(
    readonly row: number,
    reason: string,
  ) {
    super(reason);
  }
}

/**
 * A byte-pair vocabulary in CLIP's order: bytes, bytes that end a word, one id a merge, start and end-of-text. Symbols are
 * spelt in the alphabet of `BYTE_CHARACTERS`.
 */
export class BpeVocabulary {
  readonly size: number;
  readonly startOfText: number;
  readonly endOfText: number;
  readonly #merged = new Map<number, number>();
  readonly #symbols: string[];

  /** `merges` are rows such as `th e</w>`, the first merged first. Throws MergeError. */
  constructor(readonly merges: readonly string[]) {
    const symbols = [...BYTE_CHARACTERS, ...BYTE_CHARACTERS.map((character) => character + END_OF_WORD)];
    const ids = new Map(symbols.map((symbol, id) => [symbol, id]));
    for (const [row, merge] of merges.entries()) {
      const [left = '', right = '', more] = merge.split(' ');
      const [leftId, rightId] = [ids.get(left), ids.get(right)];
      if (more !== undefined || leftId === undefined || rightId === undefined)
        throw new MergeError(row, 'is no pair of symbols that stand above it');
      const symbol = left + right;
      if (ids.has(symbol)) throw new MergeError(row, `makes \`${symbol}\` a second time`);
      const id = symbols.push(symbol) - 1;
      ids.set(symbol, id);
      this.#merged.set(pairKey(leftId, rightId), id);
    }
    this.#symbols = symbols;
    this.size = vocabularySize(merges.length);
    this.startOfText = this.size - 2;
    this.endOfText = this.size - 1;
  }

  /** The ids of one word, of at least one byte: of all neighbours that a merge joins, those of the first merge, again and again. */
  encodeWord(word: Uint8Array): number[] {
    const ids = Array.from(word, (byte) => BYTE_IDS[byte]!);
    ids[ids.length - 1]! += BYTES;
    // joined[i]: what ids[i] and ids[i + 1] make. Ids of merges are in their order.
    const joined = ids.map((id, i) => this.#join(id, ids[i + 1]));
    for (;;) {
      const first = smallest(joined);
      if (first === Number.POSITIVE_INFINITY) return ids;
      let length = 0;
      for (let i = 0; i < ids.length; length++) {
        const isPair = joined[i] === first;
        ids[length] = isPair ? first : ids[i]!;
        joined[length] = joined[i]!;
        i += isPair ? 2 : 1;
      }
      ids.length = joined.length = length;
      for (let i = 0; i < length; i++)
        if (ids[i] === first || ids[i + 1] === first) joined[i] = this.#join(ids[i]!, ids[i + 1]);
    }
  }

  /** How a token is spelt; `<start_of_text>` and `<end_of_text>` for the special ones. */
  spell(id: number): string {
    if (id === this.startOfText) return '<start_of_text>';
    return id === this.endOfText ? '<end_of_text>' : (this.#symbols[id] ?? '');
  }

  /** What a token stands for: its text, with a space where it ends a word; bytes that are no character of their own in hexadecimal. */
  text(id: number): string {
    const symbol = this.spell(id);
    if (id >= this.startOfText) return symbol;
    const endsWord = symbol.endsWith(END_OF_WORD);
    const bytes = Uint8Array.from(endsWord ? symbol.slice(0, -END_OF_WORD.length) : symbol, byteOf);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) + (endsWord ? ' ' : '');
    } catch {
      return `<${Buffer.from(bytes).toString('hex')}>${endsWord ? ' ' : ''}`;
    }
  }

  #join(left: number, right: number | undefined): number {
    if (right === undefined) return Number.POSITIVE_INFINITY;
    return this.#merged.get(pairKey(left, right)) ?? Number.POSITIVE_INFINITY;
  }
}

function smallest(values: readonly number[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const value of values) if (value < least) least = value;
  return least;
}

const byteOf = (character: string): number => ID_BYTES[BYTE_CHARACTERS.indexOf(character)]!;
