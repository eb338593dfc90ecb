import { ClipyardError } from '@clipyard/contracts';
import { z } from 'zod';
import { BpeTokenizer } from './bpe/bpe-tokenizer.js';
import { BpeVocabulary, MergeError } from './bpe/bpe-vocabulary.js';
import { CLIP_MERGES_SHA256, clipMerges } from './bpe/clip-merges.js';
import type { SerializedTokenizer, Tokenizer } from './tokenizer.js';
import { WordTokenizer } from './word-tokenizer.js';

const shape = { vocabSize: z.int().positive(), contextLength: z.int().min(2) };

/** A tokenizer as it lies beside a checkpoint. */
export const serializedTokenizerSchema: z.ZodType<SerializedTokenizer> = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('word'), ...shape, words: z.array(z.string()) }),
  z.strictObject({ type: z.literal('clip'), ...shape, mergesSha256: z.literal(CLIP_MERGES_SHA256) }),
  z.strictObject({ type: z.literal('bpe'), ...shape, merges: z.array(z.string()) }),
]);

/** The tokenizer that was serialised. Throws `tokenizer_invalid`. */
export function loadTokenizer(serialized: SerializedTokenizer): Tokenizer {
  const { type, contextLength } = serialized;
  switch (type) {
    case 'word':
      return new WordTokenizer(serialized.words, serialized);
    case 'clip':
      return clipTokenizer(contextLength);
    case 'bpe':
      return new BpeTokenizer(vocabularyOf(serialized.merges), { type, contextLength });
  }
}

/** CLIP's own tokenizer: 49,408 tokens. */
export const clipTokenizer = (contextLength: number): BpeTokenizer =>
  new BpeTokenizer(new BpeVocabulary(clipMerges()), { type: 'clip', contextLength });

function vocabularyOf(merges: readonly string[]): BpeVocabulary {
  try {
    return new BpeVocabulary(merges);
  } catch (error) {
    if (!(error instanceof MergeError)) throw error;
    throw new ClipyardError('tokenizer_invalid', `Merge ${error.row} of a saved tokenizer ${error.message}.`, {
      cause: error,
    });
  }
}
