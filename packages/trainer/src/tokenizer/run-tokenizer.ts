import type { BlobStore, RankStart } from '@clipyard/contracts';
import { loadTokenizer, type ModelConfig, serializedTokenizerSchema, type Tokenizer } from '@clipyard/model';
import { restoreTokenizer } from '../checkpoint/saved-tokenizer.js';
import type { WeightSource } from '../interchange/weight-source.js';
import type { TrainLog } from '../train-log.js';
import { openTokenizer, type TokenizerSource } from './open-tokenizer.js';

export interface RunTokenizerDeps {
  readonly store: BlobStore;
  readonly log: TrainLog;
  /** The weights that the run starts from; undefined: initial ones. */
  openSource(): Promise<WeightSource | undefined>;
}

/**
 * The tokenizer of a run: that of its own newest checkpoint; else the one beside its starting weights, for token embeddings
 * mean nothing with another; else the one that the spec names. A spec that names `clip` or a file is followed all the same,
 * and it is said when the weights were trained with another. Throws as `openTokenizer` does.
 */
export async function runTokenizer(
  { store, log, openSource }: RunTokenizerDeps,
  { spec, checkpoints }: Pick<RankStart, 'spec' | 'checkpoints'>,
  source: TokenizerSource,
  signal: AbortSignal,
): Promise<Tokenizer> {
  const saved = await restoreTokenizer({ store, log }, checkpoints, signal);
  if (saved !== undefined) return saved;
  const { init, tokenizer: named } = spec.model;
  const beside = init === undefined ? undefined : besideWeights(await openSource(), source.config);
  if (named === 'word' && beside !== undefined) return beside;
  const tokenizer = await openTokenizer(named, source, { signal });
  if (init !== undefined && named === 'word') {
    log(
      'warn',
      'model.init: there is no tokenizer of ours beside the weights, so words get new numbers from the training captions and the text tower has to learn them anew; set model.tokenizer to `clip` for weights with the vocabulary of CLIP',
    );
  } else if (beside !== undefined && JSON.stringify(beside.serialize()) !== JSON.stringify(tokenizer.serialize())) {
    log(
      'warn',
      `model.tokenizer: ${named} is not the tokenizer beside the weights, so the text tower has to learn its tokens anew`,
    );
  }
  return tokenizer;
}

/** Undefined for what is no tokenizer of ours, or of another vocabulary. */
function besideWeights(source: WeightSource | undefined, config: ModelConfig): Tokenizer | undefined {
  const parsed = serializedTokenizerSchema.safeParse(source?.tokenizer);
  if (!parsed.success || parsed.data.vocabSize !== config.text_cfg.vocab_size) return undefined;
  return loadTokenizer({ ...parsed.data, contextLength: config.text_cfg.context_length });
}
