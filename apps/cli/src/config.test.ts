import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from './config.js';

it('keeps everything in .clipyard of the checkout unless told otherwise', () => {
  const { root, home, up } = loadConfig({});
  expect(existsSync(join(root, 'turbo.json'))).toBe(true);
  expect(home).toBe(join(root, '.clipyard'));
  expect(up).toMatchObject({
    slots: 2,
    port: undefined,
    databaseUrl: undefined,
    dataDir: join(home, 'data'),
    storageUrl: `file://${join(home, 'storage')}`,
  });
  expect(
    loadConfig({ CLIPYARD_HOME: '/elsewhere', CLIPYARD_DATA_DIR: '/data', PORT: '0', CLIPYARD_SLOTS: '4' }),
  ).toMatchObject({
    home: '/elsewhere',
    up: { dataDir: '/data', storageUrl: 'file:///elsewhere/storage', port: 0, slots: 4 },
  });
});

it.each([
  ['CLIPYARD_URL', 'localhost:7070'],
  ['CLIPYARD_SLOTS', '0'],
  ['PORT', '70000'],
])('refuses %s=%s, naming it with a remedy', (name, value) => {
  expect(() => loadConfig({ [name]: value })).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      fields: [expect.objectContaining({ path: name, value, remedy: expect.any(String) })],
    }),
  );
});
