import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (app: string): string => readFileSync(new URL(`../apps/${app}/Dockerfile`, import.meta.url), 'utf8');
/** From the second line, which comes after what the image is, to the user that the last stage runs as. */
const shared = (text: string): string => text.slice(text.indexOf('\n'), text.indexOf('USER node'));

test('the Dockerfiles of API and worker differ in nothing but their end', () => {
  expect(shared(read('api'))).toContain('AS dependencies');
  expect(shared(read('worker'))).toBe(shared(read('api')));
});

test.each(['api', 'worker'])('the image of %s runs as a user without privileges', (app) => {
  const users = [...read(app).matchAll(/^USER (.+)$/gm)].map(([, user]) => user);
  expect(users).toEqual(['node']);
});
