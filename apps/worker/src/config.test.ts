import { hostname } from 'node:os';
import { ClipyardError } from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { loadConfig } from './config.js';

const DATABASE_URL = 'postgresql://me:hunter2@localhost:5432/clipyard';

describe('loadConfig', () => {
  it('fills in what is not set', () => {
    const config = loadConfig({ DATABASE_URL, CLIPYARD_HOME: '/srv/clip yard', CLIPYARD_SLOTS: '4096'.slice(0, 3) });
    expect(config).toMatchObject({
      storageUrl: 'file:///srv/clip%20yard/storage',
      dataDir: '/srv/clip yard/data',
      cacheDir: '/srv/clip yard/cache',
      enginesDir: '/srv/clip yard/engines',
      nodeName: hostname(),
      pool: 'default',
      slots: 409,
      threads: 1,
      listenHost: '127.0.0.1',
      advertiseHost: '127.0.0.1',
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('advertises the host name when it listens on all interfaces', () => {
    const config = loadConfig({ DATABASE_URL, CLIPYARD_LISTEN_HOST: '0.0.0.0' });
    expect(config.advertiseHost).toBe(hostname());
    expect(loadConfig({ DATABASE_URL, CLIPYARD_ADVERTISE_HOST: 'gpu-1' }).advertiseHost).toBe('gpu-1');
  });

  it('keeps its own variables, and so the passwords, from the ranks', () => {
    const { rankEnvironment } = loadConfig({ DATABASE_URL, REDIS_URL: 'redis://:pw@r', PATH: '/bin', LANG: 'C' });
    expect(rankEnvironment).toEqual({ PATH: '/bin', LANG: 'C' });
  });

  it.each([
    [{}, 'DATABASE_URL', undefined],
    [{ DATABASE_URL: 'mysql://me:hunter2@x' }, 'DATABASE_URL', undefined],
    [{ DATABASE_URL, CLIPYARD_SLOTS: '0' }, 'CLIPYARD_SLOTS', '0'],
    [{ DATABASE_URL, CLIPYARD_THREADS: 'many' }, 'CLIPYARD_THREADS', 'many'],
  ])('refuses %j, naming the variable but no password', (env, path, value) => {
    try {
      loadConfig(env);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ClipyardError);
      const { code, fields } = error as ClipyardError;
      expect([code, fields[0]!.path, fields[0]!.value]).toEqual(['config_invalid', path, value]);
      expect(fields[0]!.remedy).toBeTruthy();
      expect(JSON.stringify(fields)).not.toContain('hunter2');
    }
  });
});
