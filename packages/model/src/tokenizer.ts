/** Turns captions into token rows. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly contextLength: number;
  /** Token ids [contextLength]: start, the caption, end-of-text (the largest id), zeros. A long caption is cut; end-of-text stays. */
  encode(caption: string): Int32Array;
  /** What `loadTokenizer` takes to make the same tokenizer again. */
  serialize(): SerializedTokenizer;
}

export type SerializedTokenizer = {
  readonly vocabSize: number;
  readonly contextLength: number;
} & (
  | { readonly type: 'word'; readonly words: readonly string[] }
  /** CLIP's own vocabulary, which comes with the release. */
  | { readonly type: 'clip'; readonly mergesSha256: string }
  | { readonly type: 'bpe'; readonly merges: readonly string[] }
);
