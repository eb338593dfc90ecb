import { expect, it } from 'vitest';
import { loadConfig } from './config.js';

const DATABASE_URL = 'postgresql://me:hunter2@127.0.0.1:5432/clipyard';

it('has defaults, and takes arguments', () => {
  const config = loadConfig([], { DATABASE_URL, CLIPYARD_HOME: '/home', PORT: '' });
  expect(config).toMatchObject({
    role: 'all',
    migrate: false,
    host: '127.0.0.1',
    port: 7070,
    storageUrl: 'file:///home/storage',
  });
  expect(Object.isFrozen(config)).toBe(true);
  expect(loadConfig(['--role', 'scheduler', '--migrate'], { DATABASE_URL, PORT: '0' })).toMatchObject({
    role: 'scheduler',
    migrate: true,
    port: 0,
  });
});

it.each([
  [[], {}, 'DATABASE_URL', undefined],
  [[], { DATABASE_URL: 'mysql://x' }, 'DATABASE_URL', undefined],
  [[], { DATABASE_URL, PORT: '99999' }, 'PORT', '99999'],
  [[], { DATABASE_URL, PORT: 'http' }, 'PORT', 'http'],
  [[], { DATABASE_URL, REDIS_URL: 'localhost' }, 'REDIS_URL', undefined],
  [['--role', 'boss'], { DATABASE_URL }, '--role', 'boss'],
  [['--rolle'], { DATABASE_URL }, 'arguments', '--rolle'],
])('refuses %j with %j, naming the field and the remedy', (argv, env, path, value) => {
  let error: unknown;
  try {
    loadConfig(argv, env);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code: 'config_invalid', fields: [{ path, remedy: expect.any(String) }] });
  expect((error as { fields: { value?: unknown }[] }).fields[0]!.value).toBe(value);
});

it('repeats no password of a URL', () => {
  expect(() => loadConfig([], { DATABASE_URL: 'pg://me:hunter2@h/db' })).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
  );
});
