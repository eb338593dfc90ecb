import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fieldError } from '@clipyard/contracts';
import {
  BpeTokenizer,
  clipTokenizer,
  formatVocabulary,
  MAX_BPE_VOCABULARY,
  parseVocabulary,
  type TrainBpeProgress,
  trainBpe,
  vocabularySize,
} from '@clipyard/model';
import type { Context } from '../context.js';
import { readCaptions } from '../data/caption-source.js';
import { nameInSpec } from '../data/data-source.js';
import { EXIT } from '../exit-codes.js';
import { formatCount } from '../output/format.js';
import { formatTable } from '../output/table.js';

export interface TrainTokenizerOptions {
  readonly data: readonly string[];
  readonly out: string;
  readonly vocab: number;
  readonly limit?: number;
  readonly json?: boolean;
}

/** Learns a byte-pair vocabulary from captions and writes its file. */
export async function trainTokenizer(context: Context, options: TrainTokenizerOptions): Promise<number> {
  const { terminal, signal } = context;
  const least = vocabularySize(0);
  if (options.vocab < least || options.vocab > MAX_BPE_VOCABULARY) {
    throw fieldError('request_invalid', {
      path: '--vocab',
      message: `is not from ${least} to ${MAX_BPE_VOCABULARY}`,
      value: options.vocab,
      remedy: `The 256 bytes, each also as the end of a word, and two special tokens make ${least}; each merge adds one.`,
    });
  }
  const limit = options.limit === undefined ? {} : { limit: options.limit };
  const captions = readCaptions(context, options.data, { signal, ...limit });
  try {
    const trained = await trainBpe(captions, {
      vocabSize: options.vocab,
      signal,
      onProgress: (progress) => terminal.status(progressText(progress)),
    });
    if (trained.captions === 0) {
      const remedy = 'Name data with captions.';
      throw fieldError('data_empty', { path: '--data', message: 'holds no caption', value: options.data, remedy });
    }
    const { size } = trained.vocabulary;
    const out = resolve(options.out);
    const text = formatVocabulary(trained.vocabulary);
    await mkdir(dirname(out), { recursive: true });
    await writeFile(out, out.endsWith('.gz') ? gzipSync(text) : text);
    const name = nameInSpec(context, out);
    const { captions: read, words } = trained;
    if (options.json === true) terminal.out(JSON.stringify({ file: out, vocabSize: size, captions: read, words }));
    else {
      terminal.out(
        `${formatCount(size)} tokens from ${formatCount(read)} captions of ${formatCount(words)} words: ${out}`,
      );
      if (size < options.vocab)
        terminal.out(`The captions hold no more pairs, so it has not the ${options.vocab} asked for.`);
      terminal.out(
        name === out
          ? 'Put it below the data directory, so that run specs can name it.'
          : `In a run spec: model.tokenizer: file:${name}, and text_cfg.vocab_size: ${size} in model.config`,
      );
    }
    return EXIT.ok;
  } finally {
    terminal.status(undefined);
  }
}

function progressText(progress: TrainBpeProgress): string {
  return progress.phase === 'counting'
    ? `counting words: ${formatCount(progress.captions)} captions, ${formatCount(progress.words)} words`
    : `merging pairs: ${formatCount(progress.merges)} of ${formatCount(progress.wanted)}`;
}

export interface EncodeOptions {
  readonly tokenizer: string;
  readonly context: number;
  readonly json?: boolean;
}

/** Shows the token ids of captions. */
export async function encodeCaptions(
  context: Context,
  captions: readonly string[],
  options: EncodeOptions,
): Promise<number> {
  const { terminal } = context;
  const tokenizer = await openTokenizer(context, options);
  const { vocabulary } = tokenizer;
  for (const caption of captions) {
    const row = [...tokenizer.encode(caption)];
    const ids = row.slice(0, row.lastIndexOf(vocabulary.endOfText) + 1);
    if (options.json === true) terminal.out(JSON.stringify({ caption, ids }));
    else {
      const rows = ids.map((id) => [String(id), vocabulary.text(id)]);
      for (const line of formatTable(['ID', 'TEXT'], rows)) terminal.out(line);
    }
  }
  return EXIT.ok;
}

async function openTokenizer(context: Context, options: EncodeOptions): Promise<BpeTokenizer> {
  const { tokenizer, context: contextLength } = options;
  const path = '--tokenizer';
  if (contextLength < 2) {
    const remedy = 'Start and end-of-text take two places.';
    throw fieldError('request_invalid', { path: '--context', message: 'is less than 2', value: contextLength, remedy });
  }
  if (tokenizer === 'clip') return clipTokenizer(contextLength);
  if (!tokenizer.startsWith('file:')) {
    const remedy = 'Use `clip`, or `file:` and the path of a vocabulary.';
    throw fieldError('request_invalid', { path, message: 'is no byte-pair tokenizer', value: tokenizer, remedy });
  }
  const name = tokenizer.slice('file:'.length);
  const file = await readFirst([resolve(context.config.up.dataDir, name), resolve(name)]);
  if (file === undefined) {
    const remedy = 'Correct the path, which is relative to the data directory or to here.';
    throw fieldError('data_not_found', { path, message: 'there is no such file', value: tokenizer, remedy });
  }
  return new BpeTokenizer(parseVocabulary(file, { path, value: tokenizer }), { type: 'bpe', contextLength });
}

async function readFirst(paths: readonly string[]): Promise<Buffer | undefined> {
  for (const path of paths) {
    try {
      return await readFile(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EISDIR') throw error;
    }
  }
  return undefined;
}
