import assert from 'node:assert';
import type { SerializedTokenizer, Tokenizer } from './tokenizer.js';

const PADDING = 0;
const UNKNOWN = 1;
const FIRST_WORD = 2;
/** Ids that are no words: padding, unknown, start and end-of-text. */
const RESERVED = 4;

/** One token a word: lower-cased runs of letters and digits, and single marks. Ids by frequency, then alphabet. */
export class WordTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly contextLength: number;
  private readonly ids: ReadonlyMap<string, number>;

  /** `words` get the ids 2, 3, …; at most vocabSize − 4 of them. */
  constructor(
    private readonly words: readonly string[],
    options: { vocabSize: number; contextLength: number },
  ) {
    assert(words.length <= options.vocabSize - RESERVED, 'more words than the vocabulary holds');
    this.vocabSize = options.vocabSize;
    this.contextLength = options.contextLength;
    this.ids = new Map(words.map((word, i) => [word, i + FIRST_WORD]));
  }

  encode(caption: string): Int32Array {
    const row = new Int32Array(this.contextLength).fill(PADDING);
    const room = this.contextLength - 2;
    const words = splitWords(caption).slice(0, room);
    row[0] = this.vocabSize - 2;
    words.forEach((word, i) => {
      row[i + 1] = this.ids.get(word) ?? UNKNOWN;
    });
    row[words.length + 1] = this.vocabSize - 1;
    return row;
  }

  serialize(): Extract<SerializedTokenizer, { type: 'word' }> {
    return { type: 'word', vocabSize: this.vocabSize, contextLength: this.contextLength, words: this.words };
  }
}

const splitWords = (text: string): string[] =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .match(/[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]/gu) ?? [];

export interface BuildOptions {
  readonly vocabSize: number;
  readonly contextLength: number;
}

/** Counts the words of the captions and keeps the most frequent ones. The order of captions does not matter. */
export async function buildWordTokenizer(
  captions: AsyncIterable<string>,
  { vocabSize, contextLength }: BuildOptions,
): Promise<WordTokenizer> {
  const counts = new Map<string, number>();
  for await (const caption of captions) {
    for (const word of splitWords(caption)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts]
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .map(([word]) => word);
  return new WordTokenizer(words.slice(0, vocabSize - RESERVED), { vocabSize, contextLength });
}
