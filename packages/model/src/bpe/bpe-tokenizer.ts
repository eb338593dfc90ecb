import type { SerializedTokenizer, Tokenizer } from '../tokenizer.js';
import type { BpeVocabulary } from './bpe-vocabulary.js';
import { cleanCaption } from './clean-caption.js';
import { CLIP_MERGES_SHA256 } from './clip-merges.js';
import { END_OF_TEXT, START_OF_TEXT, splitWords } from './split-words.js';

/** Words whose ids are kept at most; then all are forgotten. */
const CACHED_WORDS = 65_536;
/** Longer words are not kept, characters. */
const CACHED_WORD_CHARS = 32;

/** CLIP's tokenizer over a byte-pair vocabulary: the ids that open_clip's SimpleTokenizer gives. */
export class BpeTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly #cache = new Map<string, readonly number[]>();
  readonly #utf8 = new TextEncoder();

  constructor(
    readonly vocabulary: BpeVocabulary,
    private readonly options: { readonly type: 'clip' | 'bpe'; readonly contextLength: number },
  ) {
    this.vocabSize = vocabulary.size;
    this.contextLength = options.contextLength;
  }

  encode(caption: string): Int32Array {
    const row = new Int32Array(this.contextLength);
    row[0] = this.vocabulary.startOfText;
    const last = this.contextLength - 1;
    let at = 1;
    for (const word of splitWords(cleanCaption(caption))) {
      if (at >= last) break;
      for (const id of this.#idsOf(word)) {
        if (at >= last) break;
        row[at++] = id;
      }
    }
    row[at] = this.vocabulary.endOfText;
    return row;
  }

  serialize(): SerializedTokenizer {
    const { vocabSize, contextLength, vocabulary } = this;
    if (this.options.type === 'clip')
      return { type: 'clip', vocabSize, contextLength, mergesSha256: CLIP_MERGES_SHA256 };
    return { type: 'bpe', vocabSize, contextLength, merges: vocabulary.merges };
  }

  #idsOf(word: string): readonly number[] {
    const known = this.#cache.get(word);
    if (known !== undefined) return known;
    const ids = this.#encodeWord(word);
    if (word.length <= CACHED_WORD_CHARS) {
      if (this.#cache.size >= CACHED_WORDS) this.#cache.clear();
      this.#cache.set(word, ids);
    }
    return ids;
  }

  #encodeWord(word: string): number[] {
    if (word === START_OF_TEXT) return [this.vocabulary.startOfText];
    if (word === END_OF_TEXT) return [this.vocabulary.endOfText];
    return this.vocabulary.encodeWord(this.#utf8.encode(word));
  }
}
