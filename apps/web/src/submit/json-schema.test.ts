import { runSpecSchema } from '@clipyard/contracts';
import { expect, test } from 'vitest';
import { type JsonSchema, kindOf, withField } from './json-schema.js';

const schema = runSpecSchema.toJSONSchema({ io: 'input' }) as JsonSchema;
const field = (...path: string[]): JsonSchema => path.reduce((found, name) => found.properties![name]!, schema);

test('every field of the run spec has a control', () => {
  expect(kindOf(schema).kind).toBe('object');
  expect(kindOf(field('name'))).toEqual({ kind: 'text' });
  expect(kindOf(field('type'))).toEqual({ kind: 'choice', values: ['train', 'evaluate'] });
  expect(kindOf(field('batch', 'global'))).toEqual({ kind: 'number' });
  expect(kindOf(field('model', 'lock', 'image'))).toEqual({ kind: 'boolean' });
  expect(kindOf(field('labels'))).toEqual({ kind: 'yaml' });
  expect(kindOf(field('data', 'train'))).toMatchObject({ kind: 'variants', tag: 'type' });
});

test('a changed field leaves the others, and a removed one leaves nothing empty behind', () => {
  const spec = { name: 'a', batch: { global: 8 } };
  expect(withField(spec, ['batch', 'micro'], 4)).toEqual({ name: 'a', batch: { global: 8, micro: 4 } });
  expect(withField(spec, ['batch', 'global'], undefined)).toEqual({ name: 'a' });
  expect(withField(undefined, ['optimizer', 'lr'], 1)).toEqual({ optimizer: { lr: 1 } });
});
