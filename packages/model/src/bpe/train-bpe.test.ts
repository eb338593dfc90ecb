import { describe, expect, it } from 'vitest';
import { BpeTokenizer } from './bpe-tokenizer.js';
import { vocabularySize } from './bpe-vocabulary.js';
import { type TrainBpeProgress, trainBpe } from './train-bpe.js';

async function* stream(captions: readonly string[]) {
  yield* captions;
}
const train = (captions: readonly string[], merges: number) =>
  trainBpe(stream(captions), { vocabSize: vocabularySize(merges) });

/** Words of few letters, so that pairs overlap, tie and spell the same in several ways. */
function randomCaptions(seed: number, letters: string): string[] {
  let state = seed;
  const below = (bound: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const word = () => Array.from({ length: 1 + below(7) }, () => [...letters][below([...letters].length)]!).join('');
  return Array.from({ length: 30 }, () => Array.from({ length: 1 + below(5) }, word).join(' '));
}

describe('training a byte-pair vocabulary', () => {
  it.each(['ab', 'aab', 'abc', 'abcdefgh', 'aéß猫'])(
    'merges as the slow reference does: letters %s',
    async (letters) => {
      for (let seed = 1; seed <= 5; seed++) {
        const captions = randomCaptions(seed, letters);
        const { vocabulary } = await train(captions, 40);
        expect(vocabulary.merges).toEqual(mergesSlowly(captions, 40));
      }
    },
  );

  it('does not depend on the order of captions, and cleans them as CLIP does', async () => {
    const captions = randomCaptions(3, 'abcd');
    const { vocabulary } = await train(captions, 30);
    const again = await train(
      captions.toReversed().map((caption) => ` ${caption.toUpperCase()}\t`),
      30,
    );
    expect(again.vocabulary.merges).toEqual(vocabulary.merges);
    const { words } = await train(['it&rsquo;s', "it's", '<end_of_text>'], 10);
    expect(words).toBe(2);
  });

  it('makes one token of each word when the vocabulary is large enough, and stops when no pair is left', async () => {
    const captions = ['a red dog', 'a rather red dog', '大きい猫'];
    const { vocabulary } = await train(captions, 1000);
    expect(vocabulary.merges.length).toBeLessThan(60);
    const tokenizer = new BpeTokenizer(vocabulary, { type: 'bpe', contextLength: 8 });
    const spelt = [...tokenizer.encode('a rather red dog')].slice(0, 6).map((id) => vocabulary.spell(id));
    expect(spelt).toEqual(['<start_of_text>', 'a</w>', 'rather</w>', 'red</w>', 'dog</w>', '<end_of_text>']);
    expect(tokenizer.encode('大きい猫').indexOf(vocabulary.endOfText)).toBe(2);
    expect((await train([], 10)).vocabulary.merges).toEqual([]);
  });

  it('reports progress, and ends when it is aborted', async () => {
    const captions = Array.from(
      { length: 600 },
      (_, i) => `caption ${(i * i * 7919).toString(36).replace(/\d/g, 'x')} of word ${i}`,
    );
    const seen: TrainBpeProgress[] = [];
    const stop = new AbortController();
    await trainBpe(stream(captions), {
      vocabSize: 1200,
      signal: stop.signal,
      onProgress: (progress) => seen.push(progress),
    });
    expect(seen.map(({ phase }) => phase)).toEqual(['counting', 'counting', 'merging', 'merging']);
    const onProgress = () => stop.abort();
    await expect(trainBpe(stream(captions), { vocabSize: 1200, signal: stop.signal, onProgress })).rejects.toThrow(
      'abort',
    );
  });

  it('refuses more different words than memory is meant to hold', async () => {
    const words = Array.from({ length: 3000 }, (_, i) => String.fromCharCode(97 + (i % 26)).repeat(12_000 + i));
    await expect(train(words, 10)).rejects.toMatchObject({ code: 'tokenizer_invalid' });
  });
});

/** Counts every pair anew for each merge. */
function mergesSlowly(captions: readonly string[], wanted: number): string[] {
  let words = captions
    .flatMap((caption) => caption.split(' '))
    .map((word) => [...Buffer.from(word)].map(characterOf))
    .map((symbols) => [...symbols.slice(0, -1), `${symbols.at(-1)}</w>`]);
  const order = new Map(alphabet().map((symbol, i) => [symbol, i]));
  const merges: string[] = [];
  while (merges.length < wanted) {
    const counts = new Map<string, number>();
    for (const word of words)
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    const rank = (pair: string) => pair.split(' ').map((symbol) => order.get(symbol)!);
    const [best] = [...counts]
      .filter(([pair]) => !order.has(pair.replace(' ', '')))
      .sort(([a, countA], [b, countB]) => {
        const [[leftA, rightA], [leftB, rightB]] = [rank(a), rank(b)];
        return countB - countA || leftA! - leftB! || rightA! - rightB!;
      });
    if (best === undefined) break;
    merges.push(best[0]);
    const [left, right] = best[0].split(' ');
    order.set(`${left}${right}`, order.size);
    words = words.map((word) => {
      const next: string[] = [];
      for (let i = 0; i < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) next.push(word[i]! + word[++i]!);
        else next.push(word[i]!);
      }
      return next;
    });
  }
  return merges;
}

/** Python's `bytes_to_unicode`, spelt out. */
function characters(): [byte: number, character: string][] {
  const visible = [...range(33, 126), ...range(161, 172), ...range(174, 255)];
  const others = range(0, 255).filter((byte) => !visible.includes(byte));
  return [
    ...visible.map((byte): [number, string] => [byte, String.fromCharCode(byte)]),
    ...others.map((byte, i): [number, string] => [byte, String.fromCharCode(256 + i)]),
  ];
}
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const characterOf = (byte: number) => new Map(characters()).get(byte)!;
const alphabet = () => {
  const single = characters().map(([, character]) => character);
  return [...single, ...single.map((character) => `${character}</w>`)];
};
