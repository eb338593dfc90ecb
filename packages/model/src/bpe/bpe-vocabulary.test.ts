import { describe, expect, it } from 'vitest';
import { BpeVocabulary, mergeCount, vocabularySize } from './bpe-vocabulary.js';
import { BYTE_CHARACTERS } from './byte-alphabet.js';

describe('a byte-pair vocabulary', () => {
  it('counts bytes twice, merges once and two special tokens', () => {
    expect(vocabularySize(48_894)).toBe(49_408);
    expect(mergeCount(49_408)).toBe(48_894);
    const vocabulary = new BpeVocabulary(['a b', 'ab c</w>']);
    expect(vocabulary.size).toBe(516);
    expect([vocabulary.startOfText, vocabulary.endOfText]).toEqual([514, 515]);
    expect([512, 513, 514, 515].map((id) => vocabulary.spell(id))).toEqual([
      'ab',
      'abc</w>',
      '<start_of_text>',
      '<end_of_text>',
    ]);
  });

  it('spells every byte with one visible character, and back', () => {
    expect(new Set(BYTE_CHARACTERS).size).toBe(256);
    for (const character of BYTE_CHARACTERS) expect(character).toMatch(/^[^\s\p{Cc}]$/u);
    const vocabulary = new BpeVocabulary([]);
    for (let byte = 0; byte < 256; byte++) {
      const [within, end] = vocabulary.encodeWord(Uint8Array.of(byte, byte));
      const text = byte < 0x80 ? String.fromCharCode(byte) : `<${byte.toString(16)}>`;
      expect([vocabulary.text(within!), vocabulary.text(end!)]).toEqual([text, `${text} `]);
    }
  });

  it('merges as the slow reference: again and again all pairs of the lowest merge', () => {
    const random = drawer(7);
    const letters = 'abc';
    for (let round = 0; round < 40; round++) {
      const merges = randomMerges(random);
      const vocabulary = new BpeVocabulary(merges);
      for (let i = 0; i < 20; i++) {
        const word = Array.from({ length: 1 + random(24) }, () => letters[random(3)]!).join('');
        const spelt = vocabulary.encodeWord(new TextEncoder().encode(word)).map((id) => vocabulary.spell(id));
        expect(spelt).toEqual(mergeSlowly(word, merges));
      }
    }
  });

  it.each([
    [['a b', 'x'], 1, 'no pair'],
    [['ab c'], 0, 'no pair'],
    [['a b', 'a b'], 1, 'a second time'],
    [['a b', 'b c', 'a bc', 'ab c'], 3, 'a second time'],
    [['a b c'], 0, 'no pair'],
  ])('refuses %j', (merges, row, reason) => {
    expect(() => new BpeVocabulary(merges)).toThrow(
      expect.objectContaining({ row, message: expect.stringContaining(reason) }),
    );
  });
});

function randomMerges(random: (below: number) => number): string[] {
  const symbols = ['a', 'b', 'c', 'a</w>', 'b</w>', 'c</w>'];
  const merges: string[] = [];
  while (merges.length < 12) {
    const [left, right] = [symbols[random(symbols.length)]!, symbols[random(symbols.length)]!];
    if (left.endsWith('</w>') || symbols.includes(left + right)) continue;
    merges.push(`${left} ${right}`);
    symbols.push(left + right);
  }
  return merges;
}

function mergeSlowly(word: string, merges: readonly string[]): string[] {
  let symbols = [...word.slice(0, -1), `${word.at(-1)}</w>`];
  for (;;) {
    const pairs = symbols.slice(1).map((right, i) => merges.indexOf(`${symbols[i]} ${right}`));
    const first = Math.min(...pairs.filter((rank) => rank >= 0));
    if (first === Number.POSITIVE_INFINITY) return symbols;
    const next: string[] = [];
    for (let i = 0; i < symbols.length; i++) {
      if (`${symbols[i]} ${symbols[i + 1]}` === merges[first]) next.push(symbols[i]! + symbols[++i]!);
      else next.push(symbols[i]!);
    }
    symbols = next;
  }
}

/** Whole numbers below a bound, the same for a seed. */
function drawer(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
