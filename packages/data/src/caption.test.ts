import { expect, it } from 'vitest';
import { captionOf, singleSpaced } from './caption.js';

it('a caption is what stands in its file, but for the line ends behind it', () => {
  for (const text of ['un café l\u00c3\u00a0', 'a\ufeffdog', '  two\nlines ']) {
    expect(captionOf(text, 'x')).toBe(text);
    expect(captionOf(`${text}\r\n\n`, 'x')).toBe(text);
  }
  expect(singleSpaced('  two\nlines ')).toBe('two lines');
  for (const text of ['', ' \n', '\u00a0'])
    expect(() => captionOf(text, 'x')).toThrow(expect.objectContaining({ code: 'caption_empty' }));
});
