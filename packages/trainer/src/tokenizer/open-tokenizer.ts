import { readFile, stat } from 'node:fs/promises';
import { type Cancellable, fieldError, type RunSpec } from '@clipyard/contracts';
import { type Dataset, missingFile, realDataPath } from '@clipyard/data';
import {
  BpeTokenizer,
  buildWordTokenizer,
  clipTokenizer,
  MAX_VOCABULARY_BYTES,
  type ModelConfig,
  parseVocabulary,
  type Tokenizer,
} from '@clipyard/model';

/** Captions that the words are counted from at most. */
const VOCABULARY_CAPTIONS = 200_000;
const FIELD = 'model.tokenizer';

export interface TokenizerSource {
  readonly config: ModelConfig;
  readonly trainData: Pick<Dataset, 'captions'>;
  /** Relative files are below it. */
  readonly dataDir: string;
}

/** The tokenizer that a spec names, for its model. Throws `tokenizer_unfit`, `tokenizer_invalid`, `data_not_found` or `spec_invalid`, each naming the field. */
export async function openTokenizer(
  tokenizer: RunSpec['model']['tokenizer'],
  { config, trainData, dataDir }: TokenizerSource,
  { signal }: Cancellable = {},
): Promise<Tokenizer> {
  const { vocab_size: vocabSize, context_length: contextLength } = config.text_cfg;
  if (tokenizer === 'clip') return clipTokenizer(contextLength);
  if (tokenizer === 'word') {
    const captions = trainData.captions({ limit: VOCABULARY_CAPTIONS, ...(signal === undefined ? {} : { signal }) });
    return await buildWordTokenizer(captions, { vocabSize, contextLength });
  }
  const file = await readVocabularyFile(dataDir, tokenizer, { signal });
  const vocabulary = parseVocabulary(file, { path: FIELD, value: tokenizer, vocabSize });
  return new BpeTokenizer(vocabulary, { type: 'bpe', contextLength });
}

async function readVocabularyFile(dataDir: string, tokenizer: string, { signal }: Cancellable): Promise<Buffer> {
  const url = tokenizer.slice('file:'.length);
  const path = await realDataPath(dataDir, url, FIELD);
  try {
    const { size } = await stat(path);
    if (size > MAX_VOCABULARY_BYTES) {
      throw fieldError('tokenizer_invalid', {
        path: FIELD,
        message: `has ${size} bytes, more than the ${MAX_VOCABULARY_BYTES} of the largest vocabulary`,
        value: tokenizer,
        remedy: 'Name a file of merges, such as `clipyard tokenizer train` writes.',
      });
    }
    return await readFile(path, { signal });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') throw missingFile(FIELD, url, dataDir);
    throw error;
  }
}
