import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BpeTokenizer, BpeVocabulary, clipTokenizer, type ModelConfig, parseModelConfig } from '@clipyard/model';
import { referenceGroups } from '@clipyard/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkSameTokenizer } from '../checkpoint/saved-tokenizer.js';
import { openTokenizer } from './open-tokenizer.js';

const config = (vocabSize: number): ModelConfig =>
  parseModelConfig({
    embed_dim: 16,
    vision_cfg: { image_size: 16, layers: 1, width: 64, patch_size: 8 },
    text_cfg: { context_length: 12, vocab_size: vocabSize, width: 16, heads: 2, layers: 1 },
  });
const NEVER = new AbortController().signal;

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'clipyard-tokenizer-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

const trainData = {
  async *captions() {
    yield* ['a red dog', 'a blue cat'];
  },
};
const open = (tokenizer: 'word' | 'clip' | `file:${string}`, vocabSize: number) =>
  openTokenizer(tokenizer, { config: config(vocabSize), trainData, dataDir });

describe('the tokenizer of a run', () => {
  it('is the one that the spec names', async () => {
    await writeFile(join(dataDir, 'v.txt'), '#version: 0.2\na t</w>\nc at</w>\nd o');
    expect((await open('word', 20)).serialize()).toMatchObject({ type: 'word', vocabSize: 20, contextLength: 12 });
    expect((await open('clip', 49_408)).encode('a photo of a cat')).toEqual(
      Int32Array.of(49406, 320, 1125, 539, 320, 2368, 49407, 0, 0, 0, 0, 0),
    );
    const own = await open('file:v.txt', 516);
    expect(own.serialize()).toMatchObject({ type: 'bpe', vocabSize: 516, merges: ['a t</w>', 'c at</w>'] });
    expect([...own.encode('cat')].slice(0, 4)).toEqual([514, 513, 515, 0]);
  });

  it.each([
    ['file:none.txt', 600, 'data_not_found', /none\.txt/],
    ['file:../v.txt', 600, 'spec_invalid', /outside the data directory/],
    ['file:s3://bucket/v.txt', 600, 'spec_invalid', /scheme/],
    ['file:v.txt', 600, 'tokenizer_unfit', /514 to 515 tokens.*--vocab 600/],
    ['file:huge.txt', 600, 'tokenizer_invalid', /bytes/],
    ['file:.', 600, 'data_not_found', /no file/],
  ] as const)('%s for %i tokens is refused with %s', async (tokenizer, vocabSize, code, message) => {
    await writeFile(join(dataDir, 'v.txt'), '#version: 0.2\na t</w>');
    await writeFile(join(dataDir, 'huge.txt'), '');
    await truncate(join(dataDir, 'huge.txt'), 65 << 20);
    await expect(open(tokenizer, vocabSize)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      fields: [{ path: 'model.tokenizer', remedy: expect.any(String) }],
    });
  });

  it('is the same on all ranks, or the run ends', async () => {
    const own = new BpeTokenizer(new BpeVocabulary(['a t</w>']), { type: 'bpe', contextLength: 12 });
    const check = (tokenizers: Parameters<typeof checkSameTokenizer>[1][]) =>
      Promise.all(referenceGroups(2).map((group, rank) => checkSameTokenizer(group, tokenizers[rank]!, NEVER)));
    await check([clipTokenizer(12), clipTokenizer(12)]);
    await expect(check([clipTokenizer(12), own])).rejects.toMatchObject({ code: 'tokenizer_invalid' });
  });
});
