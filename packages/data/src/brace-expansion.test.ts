import { describe, expect, it } from 'vitest';
import { expandBraces } from './brace-expansion.js';

describe('expandBraces', () => {
  it.each([
    ['plain.tar', ['plain.tar']],
    ['{00008..00011}.tar', ['00008.tar', '00009.tar', '00010.tar', '00011.tar']],
    ['{8..11}', ['8', '9', '10', '11']],
    ['{2..0}', ['2', '1', '0']],
    ['{01..3}', ['01', '02', '03']],
    ['{a,b}', ['a', 'b']],
    ['x{a,}y', ['xay', 'xy']],
    ['{a,b}-{0..1}.tar', ['a-0.tar', 'a-1.tar', 'b-0.tar', 'b-1.tar']],
    ['d/{t-{0..1},h-0}.tar', ['d/t-0.tar', 'd/t-1.tar', 'd/h-0.tar']],
  ])('expands %s as a shell does', (pattern, names) => {
    expect(expandBraces(pattern, 'data.train.urls[0]')).toEqual(names);
  });

  it.each(['{0..1', '0..1}', '}{', '{a,{b}', '{abc}', '{}', '{0..9999999}', '{0..999}{0..999}{0..999}'])(
    'refuses %s, naming the field',
    (pattern) => {
      const expand = () => expandBraces(pattern, 'data.train.urls[3]');
      expect(expand).toThrow(
        expect.objectContaining({
          code: 'spec_invalid',
          fields: [expect.objectContaining({ path: 'data.train.urls[3]', value: pattern })],
        }),
      );
    },
  );
});
