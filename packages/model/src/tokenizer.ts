/** Turns captions into token rows. Implementations: a word-level one for small vocabularies; the byte-pair one will follow. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly contextLength: number;
  /** Token ids [contextLength]: start, the caption, end-of-text (the largest id), zeros. A long caption is cut; end-of-text stays. */
  encode(caption: string): Int32Array;
  /** What `loadTokenizer` takes to make the same tokenizer again. */
  serialize(): SerializedTokenizer;
}

export interface SerializedTokenizer {
  readonly type: 'word';
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly words: readonly string[];
}
