import { describe, expect, it } from 'vitest';
import { clipTokenizer, loadTokenizer, serializedTokenizerSchema } from './load-tokenizer.js';
import { checkModel } from './tokenizer-fit.js';

const config = (vocabSize: number) => ({
  embed_dim: 16,
  vision_cfg: { image_size: 16, layers: 1, width: 64, patch_size: 8 },
  text_cfg: { context_length: 16, vocab_size: vocabSize, width: 16, heads: 2, layers: 1 },
});

describe('model and tokenizer', () => {
  it.each([
    [{ preset: 'clip-tiny', tokenizer: 'word' as const }, 512],
    [{ preset: 'ViT-B-32', tokenizer: 'clip' as const }, 49_408],
    [{ preset: 'ViT-B-32', tokenizer: 'file:own.txt' }, 49_408],
    [{ config: config(49_408), tokenizer: 'word' as const }, 49_408],
  ])('%j fit', (model, vocabSize) => expect(checkModel(model).text_cfg.vocab_size).toBe(vocabSize));

  it.each([
    [{ preset: 'clip-small', tokenizer: 'clip' as const }, /8192.*Use `word`/],
    [{ config: config(512), tokenizer: 'clip' as const }, /512.*vocab_size of model.config to 49408/],
    [{ preset: 'ViT-L-14', tokenizer: 'word' as const }, /Set it to `clip`/],
  ])('%j do not, and the error says what would', (model, text) =>
    expect(() => checkModel(model)).toThrow(
      expect.objectContaining({
        code: 'tokenizer_unfit',
        message: expect.stringMatching(text),
        fields: [expect.objectContaining({ path: 'model.tokenizer', value: model.tokenizer })],
      }),
    ),
  );
});

it("CLIP's tokenizer is the same after serialising, by the hash of its merges", () => {
  const tokenizer = clipTokenizer(20);
  const text = JSON.stringify(tokenizer.serialize());
  const again = loadTokenizer(serializedTokenizerSchema.parse(JSON.parse(text)));
  expect(again.encode('A photo of a café')).toEqual(tokenizer.encode('A photo of a café'));
  expect(() => serializedTokenizerSchema.parse(JSON.parse(text.replace('d308', '0000')))).toThrow('mergesSha256');
});
