import { setImmediate } from 'node:timers/promises';
import { type Cancellable, ClipyardError } from '@clipyard/contracts';
import { BpeVocabulary, MAX_BPE_VOCABULARY, mergeCount } from './bpe-vocabulary.js';
import { BYTE_CHARACTERS } from './byte-alphabet.js';
import { cleanCaption } from './clean-caption.js';
import { END_OF_TEXT, START_OF_TEXT, splitWords } from './split-words.js';
import { WordPairs } from './word-pairs.js';

/** UTF-8 bytes in different words that pairs are counted in at most; each takes about 40 bytes of memory. */
const MAX_WORD_BYTES = 32 << 20;
/** Captions or merges between two looks at the signal and reports of progress. */
const REPORT_EVERY = 256;

export interface TrainBpeOptions extends Cancellable {
  /** Token ids wanted, special ones included; fewer come out when the captions hold no more pairs. */
  readonly vocabSize: number;
  onProgress?(progress: TrainBpeProgress): void;
}

export type TrainBpeProgress =
  | { readonly phase: 'counting'; readonly captions: number; readonly words: number }
  | { readonly phase: 'merging'; readonly merges: number; readonly wanted: number };

export interface TrainedBpe {
  readonly vocabulary: BpeVocabulary;
  readonly captions: number;
  /** Different words in them. */
  readonly words: number;
}

/**
 * Learns a byte-pair vocabulary (Sennrich et al., arXiv 1508.07909) from captions that are cleaned and split as CLIP's are:
 * the most frequent pair becomes a symbol, again and again. The order of captions does not matter; ties go to the older symbols.
 * Throws `tokenizer_invalid` when the captions hold too many different words.
 */
export async function trainBpe(captions: AsyncIterable<string>, options: TrainBpeOptions): Promise<TrainedBpe> {
  const wanted = mergeCount(options.vocabSize);
  if (wanted < 0 || options.vocabSize > MAX_BPE_VOCABULARY) throw new RangeError('no vocabulary of that size');
  const counted = await countWords(captions, options);
  const pairs = new WordPairs(counted.words);
  const symbols = [...BYTE_CHARACTERS, ...BYTE_CHARACTERS.map((character) => `${character}</w>`)];
  const known = new Set(symbols);
  const merges: string[] = [];
  while (merges.length < wanted) {
    const pair = pairs.takeMostFrequent();
    if (pair === undefined) break;
    const left = Math.floor(pair.key / MAX_BPE_VOCABULARY);
    const right = pair.key % MAX_BPE_VOCABULARY;
    const symbol = symbols[left]! + symbols[right]!;
    // Another pair may spell the same; ids stand for one spelling each.
    if (known.has(symbol)) continue;
    known.add(symbol);
    merges.push(`${symbols[left]} ${symbols[right]}`);
    pairs.merge(left, right, symbols.push(symbol) - 1);
    if (merges.length % REPORT_EVERY > 0) continue;
    options.onProgress?.({ phase: 'merging', merges: merges.length, wanted });
    await setImmediate();
    options.signal?.throwIfAborted();
  }
  return { vocabulary: new BpeVocabulary(merges), captions: counted.captions, words: counted.words.size };
}

async function countWords(
  texts: AsyncIterable<string>,
  { onProgress, signal }: TrainBpeOptions,
): Promise<{ words: Map<string, number>; captions: number }> {
  const words = new Map<string, number>();
  let captions = 0;
  let bytes = 0;
  for await (const text of texts) {
    for (const word of splitWords(cleanCaption(text))) {
      if (word === START_OF_TEXT || word === END_OF_TEXT) continue;
      const count = words.get(word);
      words.set(word, (count ?? 0) + 1);
      if (count === undefined) bytes += Buffer.byteLength(word);
    }
    if (bytes > MAX_WORD_BYTES) {
      throw new ClipyardError(
        'tokenizer_invalid',
        `The first ${captions} captions hold more than ${MAX_WORD_BYTES} bytes of different words. Train on fewer captions.`,
      );
    }
    if (++captions % REPORT_EVERY > 0) continue;
    onProgress?.({ phase: 'counting', captions, words: words.size });
    signal?.throwIfAborted();
  }
  return { words, captions };
}
