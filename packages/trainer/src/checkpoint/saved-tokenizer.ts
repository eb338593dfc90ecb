import { createHash } from 'node:crypto';
import { type BlobStore, ClipyardError, type Group, type RankStart } from '@clipyard/contracts';
import { loadTokenizer, serializedTokenizerSchema, type Tokenizer } from '@clipyard/model';
import type { TrainLog } from '../train-log.js';
import { parseJson, TOKENIZER_FILE } from './checkpoint-format.js';
import { openCheckpoint } from './checkpoint-reader.js';

/** The tokenizer of the newest checkpoint that holds it whole: what a run goes on with, whatever became of the file or the captions it was made of. */
export async function restoreTokenizer(
  { store, log }: { readonly store: BlobStore; readonly log: TrainLog },
  candidates: RankStart['checkpoints'],
  signal: AbortSignal,
): Promise<Tokenizer | undefined> {
  for (const candidate of candidates) {
    try {
      const bytes = await (await openCheckpoint(store, candidate, signal)).read(TOKENIZER_FILE);
      return loadTokenizer(parseJson(serializedTokenizerSchema, bytes, TOKENIZER_FILE));
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = ClipyardError.from(error, 'checkpoint_damaged');
      const { step } = candidate;
      log('warn', `The tokenizer in the checkpoint of step ${step} cannot be used: ${message}`, { code, step });
    }
  }
  return undefined;
}

/** On all ranks together: throws `tokenizer_invalid` when another rank has made another tokenizer, of other files. */
export async function checkSameTokenizer(group: Group, tokenizer: Tokenizer, signal: AbortSignal): Promise<void> {
  const own = new Uint8Array(createHash('sha256').update(JSON.stringify(tokenizer.serialize())).digest());
  const all = new Uint8Array(own.length * group.worldSize);
  await group.allGather(own, all, { signal });
  if (all.every((byte, i) => byte === all[i % own.length])) return;
  throw new ClipyardError(
    'tokenizer_invalid',
    'The ranks have different tokenizers: the vocabulary file or the captions differ between their data directories. Make the files the same on every host.',
  );
}
