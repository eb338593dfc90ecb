import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort } from './free-port.js';
import { newId } from './ids.js';
import { Lifecycle } from './lifecycle.js';
import { createLogger, redactUrl } from './logger.js';
import { onSignals } from './signals.js';
import { sleep } from './sleep.js';

describe('Lifecycle', () => {
  it('closes in reverse order, once', async () => {
    const closed: string[] = [];
    const lifecycle = new Lifecycle();
    for (const name of ['a', 'b', 'c']) lifecycle.add(name, () => void closed.push(name));
    await Promise.all([lifecycle.close(), lifecycle.close()]);
    expect(closed).toEqual(['c', 'b', 'a']);
  });

  it('closes the rest when one fails, and names it', async () => {
    const closed: string[] = [];
    const lifecycle = new Lifecycle();
    lifecycle.add('first', () => void closed.push('first'));
    lifecycle.add('second', () => Promise.reject(new Error('stuck')));
    await expect(lifecycle.close()).rejects.toThrow('second could not be closed');
    expect(closed).toEqual(['first']);
  });

  it('closes what is added too late', async () => {
    const lifecycle = new Lifecycle();
    await lifecycle.close();
    let closed = false;
    lifecycle.add('late', () => {
      closed = true;
    });
    await lifecycle.close();
    expect(closed).toBe(true);
  });
});

describe('newId', () => {
  it('sorts by time and does not repeat', () => {
    expect(newId('job')).toMatch(/^job-[0-9a-hjkmnp-tv-z]{20}$/);
    expect(newId('job', 1_000) < newId('job', 1_001)).toBe(true);
    expect(newId('job', 2 ** 45 - 1) < newId('job', 2 ** 45)).toBe(true);
    expect(new Set(Array.from({ length: 1000 }, () => newId('x', 5))).size).toBe(1000);
  });
});

describe('freePort', () => {
  it('gives a port that can be listened on', async () => {
    const server = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('createLogger', () => {
  it('writes JSON lines to a file and hides secrets', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'clipyard-log-'));
    try {
      const file = join(directory, 'logs', 'x.log');
      const log = createLogger({ name: 'worker', file, fields: { node: 'n1' } });
      log.info({ secret: 'abc', start: { secret: 'def', jobId: 'job-1' } }, 'started');
      log.debug('unseen');
      const lines = (await readFile(file, 'utf8')).trim().split('\n');
      expect(lines).toHaveLength(1);
      expect(JSON.parse(lines[0]!)).toMatchObject({
        name: 'worker',
        level: 'info',
        node: 'n1',
        msg: 'started',
        secret: '[redacted]',
        start: { secret: '[redacted]', jobId: 'job-1' },
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('hides the password of a URL', () => {
    expect(redactUrl('postgresql://me:hunter2@db:5432/x')).toBe('postgresql://me:***@db:5432/x');
    expect(redactUrl('no url')).toBe('no url');
  });
});

describe('onSignals', () => {
  const start = (drain: () => Promise<void>, forceAfterMs: number) => {
    const exits: number[] = [];
    const stop = onSignals(['SIGUSR2'], drain, { forceAfterMs, exit: (code) => void exits.push(code) });
    return { exits, stop };
  };
  const until = async (exits: number[]) => {
    while (exits.length === 0) await sleep(1);
    return exits[0];
  };

  it('drains once and ends with 0', async () => {
    let drains = 0;
    const { exits } = start(async () => void drains++, 10_000);
    process.kill(process.pid, 'SIGUSR2');
    expect(await until(exits)).toBe(0);
    expect(drains).toBe(1);
    expect(process.listenerCount('SIGUSR2')).toBe(0);
  });

  it.each([
    ['the drain fails', () => Promise.reject(new Error('x')), 10_000, 1],
    ['the drain takes too long', () => new Promise<void>(() => {}), 5, 1],
    ['a second signal comes', () => new Promise<void>(() => {}), 10_000, 2],
  ])('ends with 1 when %s', async (_, drain, forceAfterMs, signals) => {
    const { exits } = start(drain, forceAfterMs);
    for (let i = 0; i < signals; i++) {
      process.kill(process.pid, 'SIGUSR2');
      await sleep(2);
    }
    expect(await until(exits)).toBe(1);
    expect(process.listenerCount('SIGUSR2')).toBe(0);
  });
});
