import { parseRunSpec } from '@clipyard/contracts';
import {
  BpeTokenizer,
  BpeVocabulary,
  parseModelConfig,
  type SerializedTokenizer,
  WordTokenizer,
} from '@clipyard/model';
import { openBlobStore } from '@clipyard/storage';
import { describe, expect, it } from 'vitest';
import type { WeightSource } from '../interchange/weight-source.js';
import { runTokenizer } from './run-tokenizer.js';

const VOCABULARY = 516;
const words = new WordTokenizer(['red'], { vocabSize: VOCABULARY, contextLength: 8 }).serialize();
const bpe = new BpeTokenizer(new BpeVocabulary(['r e', 're d</w>']), { type: 'bpe', contextLength: 8 }).serialize();

/** Runs with weights that have this beside them; what was said, and the tokenizer that came out. */
async function tokenizerOf(beside: unknown, named: string, vocabSize = VOCABULARY) {
  const config = {
    embed_dim: 16,
    vision_cfg: { image_size: 16, layers: 1, width: 64, patch_size: 8 },
    text_cfg: { context_length: 12, vocab_size: vocabSize, width: 16, heads: 2, layers: 1 },
  };
  const spec = parseRunSpec({
    version: 1,
    name: 'test',
    model: { config, init: 'file:weights', tokenizer: named },
    data: { train: { type: 'shapes' } },
    batch: { global: 2 },
    duration: { steps: 1 },
  });
  const source: WeightSource = {
    where: 'weights',
    entries: new Map(),
    metadata: {},
    modelConfig: undefined,
    preprocess: undefined,
    tokenizer: beside,
    floats: () => Promise.reject(new Error('not read')),
    integer: () => Promise.reject(new Error('not read')),
    close: async () => {},
  };
  const said: string[] = [];
  const trainData = {
    async *captions() {
      yield 'a blue cat';
    },
  };
  const tokenizer = await runTokenizer(
    {
      store: await openBlobStore('file:///nowhere'),
      log: (level, message) => said.push(`${level}: ${message}`),
      openSource: async () => source,
    },
    { spec, checkpoints: [] },
    { config: parseModelConfig(config), trainData, dataDir: '/nowhere' },
    new AbortController().signal,
  );
  return { serialized: tokenizer.serialize() as SerializedTokenizer, said: said.join('\n') };
}

describe('a run that starts from weights', () => {
  it.each([
    ['words', words],
    ['pairs of bytes', bpe],
  ])('takes the tokenizer beside them: %s', async (_, beside) => {
    const { serialized, said } = await tokenizerOf(beside, 'word');
    expect(serialized).toEqual({ ...beside, contextLength: 12 });
    expect(said).toBe('');
  });

  it.each([
    ['nothing', undefined],
    ["others' tokenizer.json", { version: '1.0', model: { type: 'BPE', merges: [] } }],
    ['a tokenizer of another vocabulary', { ...bpe, vocabSize: 600 }],
  ])('counts words where there is none of ours, and says so: %s', async (_, beside) => {
    const { serialized, said } = await tokenizerOf(beside, 'word');
    expect(serialized).toMatchObject({ type: 'word', words: ['a', 'blue', 'cat'] });
    expect(said).toMatch(/^warn: model.init: there is no tokenizer of ours/);
  });

  it('follows a spec that names one, and says when the weights had another', async () => {
    const clip = await tokenizerOf(undefined, 'clip', 49_408);
    expect(clip).toMatchObject({ serialized: { type: 'clip' }, said: '' });
    const other = await tokenizerOf({ ...words, vocabSize: 49_408 }, 'clip', 49_408);
    expect(other.serialized.type).toBe('clip');
    expect(other.said).toMatch(/^warn: model.tokenizer: clip is not the tokenizer beside the weights/);
    const same = await tokenizerOf({ ...clip.serialized, contextLength: 77 }, 'clip', 49_408);
    expect(same.said).toBe('');
  });

  it('ends on a saved tokenizer that cannot be', async () => {
    await expect(tokenizerOf({ ...bpe, merges: ['x', 'y'] }, 'word')).rejects.toMatchObject({
      code: 'tokenizer_invalid',
    });
  });
});
