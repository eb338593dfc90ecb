import { parseRunSpec } from '@clipyard/contracts';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { EXAMPLES } from './examples.js';

test.each(EXAMPLES)('the example is a valid spec: $title', ({ yaml }) => {
  expect(parseRunSpec(parse(yaml)).version).toBe(1);
});
