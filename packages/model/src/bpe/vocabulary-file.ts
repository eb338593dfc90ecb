import { gunzipSync } from 'node:zlib';
import { type ClipyardError, fieldError } from '@clipyard/contracts';
import { BpeVocabulary, MAX_BPE_VOCABULARY, MergeError, mergeCount, vocabularySize } from './bpe-vocabulary.js';

/** Largest file of a byte-pair vocabulary, before and after it is unpacked. */
export const MAX_VOCABULARY_BYTES = 64 << 20;
const HEADER = '#version: 0.2';

/** A byte-pair vocabulary as a file of merges, one a line: what open_clip reads once it is packed by gzip. */
export function formatVocabulary(vocabulary: BpeVocabulary): string {
  // No line end at the end: open_clip would take it for one more merge.
  return [HEADER, ...vocabulary.merges].join('\n');
}

export interface ParseVocabularyOptions {
  /** What names the file, for errors: the field of a spec or an option, and its value. */
  readonly path: string;
  readonly value: string;
  /** Token ids wanted: as in open_clip, the first merges of a longer file are used. Default: all. */
  readonly vocabSize?: number;
}

/**
 * Reads a file of merges, packed by gzip or not: a header line, then a merge a line. Throws `tokenizer_invalid` naming
 * the line, and `tokenizer_unfit` when it does not hold the merges that `vocabSize` asks for.
 */
export function parseVocabulary(file: Uint8Array, options: ParseVocabularyOptions): BpeVocabulary {
  const lines = readLines(file, options);
  const wanted = options.vocabSize === undefined ? lines.length : mergeCount(options.vocabSize);
  if (wanted < 0 || wanted > lines.length) throw unfit(lines.length, options);
  if (vocabularySize(wanted) > MAX_BPE_VOCABULARY)
    throw invalid(options, `holds more than ${MAX_BPE_VOCABULARY} tokens`, 'Use a smaller vocabulary.');
  try {
    return new BpeVocabulary(lines.slice(0, wanted));
  } catch (error) {
    if (!(error instanceof MergeError)) throw error;
    throw invalid(options, `line ${error.row + 2} ${error.message}`, 'Correct it, or train the vocabulary again.');
  }
}

function readLines(file: Uint8Array, options: ParseVocabularyOptions): string[] {
  const remedy = `Name a file of merges, such as \`clipyard tokenizer train\` writes: its first line says \`${HEADER}\`.`;
  const isPacked = file[0] === 0x1f && file[1] === 0x8b;
  let text: string;
  try {
    const bytes = isPacked ? gunzipSync(file, { maxOutputLength: MAX_VOCABULARY_BYTES }) : file;
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const what = isPacked ? 'is packed by gzip, but cannot be unpacked or is too large' : 'is not UTF-8 text';
    throw invalid(options, what, remedy);
  }
  const [header = '', ...lines] = text.split(/\r?\n/);
  if (!header.includes('#version')) throw invalid(options, 'does not begin with a line that says #version', remedy);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

const invalid = ({ path, value }: ParseVocabularyOptions, message: string, remedy: string): ClipyardError =>
  fieldError('tokenizer_invalid', { path, message, value, remedy });

function unfit(merges: number, { path, value, vocabSize = 0 }: ParseVocabularyOptions): ClipyardError {
  const [least, most] = [vocabularySize(0), vocabularySize(merges)];
  const train = `, or train a vocabulary of that size: \`clipyard tokenizer train --vocab ${vocabSize}\``;
  return fieldError('tokenizer_unfit', {
    path,
    message: `makes ${least} to ${most} tokens (it holds ${merges} merges), but the model's vocabulary has ${vocabSize}`,
    value,
    remedy: `Set text_cfg.vocab_size of model.config to ${most}${vocabSize < least ? '' : train}.`,
  });
}
