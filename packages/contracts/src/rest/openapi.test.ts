import { expect, it } from 'vitest';
import type { z } from 'zod';
import { openApiDocument } from './openapi.js';
import { OPERATIONS } from './operations.js';

type Content = Readonly<Record<string, { readonly example?: unknown }>>;
type Documented = Readonly<Record<string, { readonly content?: Content }>>;

/** Made of what workers compute for pictures: their examples would be large. */
const WITHOUT = ['getSimilarity', 'searchPictures'];

const answers = Object.entries(OPERATIONS).flatMap(([id, { method, path, answer }]) =>
  answer.type === 'one' || answer.type === 'list' ? [{ id, method, path, answer }] : [],
);

it.each(answers.filter(({ id }) => !WITHOUT.includes(id)))('$id has an example, as its schema says', (operation) => {
  const { method, path, answer } = operation;
  const paths = openApiDocument('0.0.0').paths as Record<string, Record<string, { responses: Documented }>>;
  const { responses } = paths[path.replace(/:(\w+)/g, '{$1}')]![method.toLowerCase()]!;
  const { example } = responses[answer.type === 'one' ? answer.status : 200]!.content!['application/json']!;
  expect(example).toBeDefined();
  const shown = answer.type === 'one' ? example : (example as { items: unknown[] }).items[0];
  // Parsed strictly: what the schema lacks is no part of an answer.
  expect((answer.schema as z.ZodType).parse(shown)).toEqual(shown);
});
