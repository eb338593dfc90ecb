import { describe, expect, it } from 'vitest';
import { loadTokenizer } from './load-tokenizer.js';
import { buildWordTokenizer } from './word-tokenizer.js';

async function* captions(list: string[]) {
  yield* list;
}
const build = (list: string[]) => buildWordTokenizer(captions(list), { vocabSize: 12, contextLength: 6 });

describe('the word tokenizer', () => {
  it('gives ids by frequency and then alphabet, whatever the order of captions', async () => {
    const a = await build(['a red dog', 'a dog', 'a cat']);
    const b = await build(['a cat', 'a dog', 'A red dog']);
    expect(a.serialize()).toEqual(b.serialize());
    expect(a.serialize().words).toEqual(['a', 'dog', 'cat', 'red']);
  });

  it('frames a caption with start and end-of-text, the largest id, and pads with zeros', async () => {
    const tokenizer = await build(['a red dog', 'a dog']);
    expect([...tokenizer.encode('A dog')]).toEqual([10, 2, 3, 11, 0, 0]);
  });

  it('cuts a long caption but keeps end-of-text', async () => {
    const tokenizer = await build(['a b c d e']);
    expect([...tokenizer.encode('a b c d e a')]).toEqual([10, 2, 3, 4, 5, 11]);
  });

  it('maps unknown words to one id, and keeps at most as many words as the vocabulary holds', async () => {
    const tokenizer = await build(['a b c d e f g h i j k l m']);
    expect(tokenizer.serialize().words).toHaveLength(8);
    expect(tokenizer.encode('zebra')[1]).toBe(1);
  });

  it('is the same after serialising', async () => {
    const tokenizer = await build(['a red dog', 'größe 大きい 🐕']);
    const again = loadTokenizer(JSON.parse(JSON.stringify(tokenizer.serialize())));
    for (const caption of ['a red dog', 'GRÖSSE', '大きい 🐕', ''])
      expect(again.encode(caption)).toEqual(tokenizer.encode(caption));
  });
});
