import type { BlobStore, RankStart } from '@clipyard/contracts';
import { loadTokenizer, type ModelConfig, type Tokenizer } from '@clipyard/model';
import { z } from 'zod';
import { parseJson, TOKENIZER_FILE } from '../checkpoint/checkpoint-format.js';
import { openCheckpoint } from '../checkpoint/checkpoint-reader.js';
import type { TrainLog } from '../train-log.js';
import type { WeightSource } from './weight-source.js';

const wordTokenizerSchema = z.object({
  type: z.literal('word'),
  vocabSize: z.int().positive(),
  contextLength: z.int().positive(),
  words: z.array(z.string()),
});

export interface InitialTokenizerDeps {
  readonly store: BlobStore;
  readonly log: TrainLog;
  openSource(): Promise<WeightSource | undefined>;
}

/**
 * The tokenizer that a run's starting weights were trained with: token embeddings mean nothing with another. From the
 * run's own newest checkpoint, else from beside the weights; undefined (and said) when there is none.
 */
export async function initialTokenizer(
  { store, log, openSource }: InitialTokenizerDeps,
  { spec, checkpoints }: Pick<RankStart, 'spec' | 'checkpoints'>,
  config: ModelConfig,
  signal: AbortSignal,
): Promise<Tokenizer | undefined> {
  if (spec.model.init === undefined) return undefined;
  for (const checkpoint of checkpoints) {
    try {
      const bytes = await (await openCheckpoint(store, checkpoint, signal)).read(TOKENIZER_FILE);
      return tokenizerOf(parseJson(z.unknown(), bytes, TOKENIZER_FILE), config);
    } catch (error) {
      log(
        'warn',
        `The tokenizer of the checkpoint of step ${checkpoint.step} cannot be used: ${(error as Error).message}`,
      );
    }
  }
  const source = await openSource();
  const tokenizer = source === undefined ? undefined : tokenizerOf(source.tokenizer, config);
  if (tokenizer === undefined) {
    log(
      'warn',
      'model.init: there is no tokenizer.json of words beside the weights, so words get new numbers from the training captions and the text tower has to learn them anew',
    );
  }
  return tokenizer;
}

/** Undefined for what is no word tokenizer, or of another vocabulary. */
function tokenizerOf(serialized: unknown, config: ModelConfig): Tokenizer | undefined {
  const parsed = wordTokenizerSchema.safeParse(serialized);
  if (!parsed.success || parsed.data.vocabSize !== config.text_cfg.vocab_size) return undefined;
  return loadTokenizer({ ...parsed.data, contextLength: config.text_cfg.context_length });
}
