import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readable, Service } from './service.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clipyard-service-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function start(code: string, stopGraceMs = 5000): Promise<Service> {
  const script = join(folder, 'script.mjs');
  await writeFile(script, code);
  return Service.start({
    name: 'test',
    script,
    args: ['x'],
    env: { ...process.env, COLOUR: 'red' },
    logFile: join(folder, 'logs', 'test.log'),
    stopGraceMs,
  });
}

describe('a service', () => {
  it('gets arguments and environment, announces itself, and writes to its log', async () => {
    const service = await start(
      `console.log('{"level":"info","msg":"hello"}'); process.send({ args: process.argv.slice(2), colour: process.env.COLOUR }); process.disconnect();`,
    );
    expect(await service.announced).toEqual({ args: ['x'], colour: 'red' });
    expect(await service.ended).toEqual({ code: 0, signal: null });
    expect(await service.logTail()).toEqual(['info hello']);
  });

  it('is asked to end, and killed when it does not', async () => {
    const polite = await start(
      `process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); process.send('up');`,
    );
    await polite.announced;
    expect(await polite.stop()).toEqual({ code: 7, signal: null });
    const stubborn = await start(
      `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); process.send('up');`,
      100,
    );
    await stubborn.announced;
    expect(await stubborn.stop()).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('keeps the log of the run before', async () => {
    await (await start(`console.log('first');`)).ended;
    await (await start(`console.log('second');`)).ended;
    expect(await readFile(join(folder, 'logs', 'test.log'), 'utf8')).toBe('second\n');
    expect(await readFile(join(folder, 'logs', 'test.log.1'), 'utf8')).toBe('first\n');
  });
});

it('makes a JSON log line readable and leaves others alone', () => {
  expect(
    readable('{"level":"fatal","time":"T","code":"port_taken","msg":"PORT: is in use","err":{"message":"why"}}'),
  ).toBe('T fatal port_taken PORT: is in use why');
  expect(readable('Error: boom')).toBe('Error: boom');
  expect(readable('123')).toBe('123');
});
