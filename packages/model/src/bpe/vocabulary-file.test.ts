import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BpeVocabulary } from './bpe-vocabulary.js';
import { clipMerges } from './clip-merges.js';
import { formatVocabulary, parseVocabulary } from './vocabulary-file.js';

const MERGES = ['a b', 'ab c</w>', 'ð Ł'];
const options = { path: 'model.tokenizer', value: 'file:v.txt' };
const parse = (text: string | Uint8Array, vocabSize?: number) =>
  parseVocabulary(typeof text === 'string' ? Buffer.from(text) : text, {
    ...options,
    ...(vocabSize === undefined ? {} : { vocabSize }),
  });

describe('a vocabulary file', () => {
  it('reads back what was written, packed or not, with any line ends', () => {
    const text = formatVocabulary(new BpeVocabulary(MERGES));
    expect(text).toBe('#version: 0.2\na b\nab c</w>\nð Ł');
    for (const file of [text, `${text}\n`, text.replaceAll('\n', '\r\n'), gzipSync(text)])
      expect(parse(file).merges).toEqual(MERGES);
  });

  it("gives the first merges of a longer file, as open_clip does with CLIP's", () => {
    const text = ['"bpe_simple_vocab_16e6.txt#version: 0.2', ...clipMerges()].join('\n');
    expect(parse(text).size).toBe(49_408);
    expect(parse(text, 8192).merges).toEqual(clipMerges().slice(0, 8192 - 514));
  });

  it.each([
    ['nothing', '', undefined, 'tokenizer_invalid', '#version'],
    ['another file', '{"a": 1}', undefined, 'tokenizer_invalid', '#version'],
    ['bytes that are no text', Uint8Array.of(0xff, 0xfe), undefined, 'tokenizer_invalid', 'not UTF-8'],
    [
      'a cut gzip file',
      gzipSync('#version: 0.2').subarray(0, 12),
      undefined,
      'tokenizer_invalid',
      'cannot be unpacked',
    ],
    ['a bad line', '#version: 0.2\na b\nab', undefined, 'tokenizer_invalid', 'line 3 is no pair'],
    ['too few merges', '#version: 0.2\na b', 600, 'tokenizer_unfit', '514 to 515 tokens'],
    ['a model with fewer tokens than bytes', '#version: 0.2\na b', 96, 'tokenizer_unfit', '514 to 515 tokens'],
  ])('names the field and what is wrong: %s', (_, file, vocabSize, code, message) => {
    expect(() => parse(file, vocabSize)).toThrow(
      expect.objectContaining({
        code,
        fields: [
          expect.objectContaining({
            ...options,
            message: expect.stringContaining(message),
            remedy: expect.any(String),
          }),
        ],
      }),
    );
  });
});
