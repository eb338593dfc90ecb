import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RankProcess, type RankProcessEvents } from './rank-process.js';

const LIMIT = { timeout: 60_000 };

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'clipyard-rank-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Starts a process that runs `source`; resolves once it has said `ready`. */
async function launch(source: string, onOutput: RankProcessEvents['onOutput'] = () => {}): Promise<RankProcess> {
  const script = join(directory, 'rank.mjs');
  await writeFile(script, `process.on('message', () => {});\n${source}\nprocess.send({ type: 'ready' });`);
  return await new Promise((resolve) => {
    const options = { script, environment: {}, stopGraceMs: 100, saveGraceMs: 60_000, killGraceMs: 1000 };
    const rank: RankProcess = new RankProcess(
      { onMessage: ({ type }) => void (type === 'ready' && resolve(rank)), onOutput },
      options,
    );
    void rank.ended.then(() => resolve(rank));
  });
}

describe('RankProcess', LIMIT, () => {
  it('believes what the process said last, whatever its exit code', async () => {
    const done = await launch(`process.send({ type: 'done' }, () => process.exit(3));`);
    expect(await done.ended).toEqual({ state: 'succeeded' });
    const error = { code: 'loss_not_finite', message: 'NaN at step 7', fields: [] };
    const failed = await launch(
      `process.send({ type: 'failed', error: ${JSON.stringify(error)} }, () => process.exit(1));`,
    );
    expect(await failed.ended).toEqual({ state: 'failed', error });
  });

  it('calls a process lost that ended without a word, and names the code or the signal', async () => {
    const crashed = await launch('setTimeout(() => process.exit(7), 20);');
    expect(await crashed.ended).toMatchObject({
      state: 'lost',
      error: { code: 'rank_lost', message: expect.stringContaining('exit code 7') },
    });
    const killed = await launch('setInterval(() => {}, 1000);');
    process.kill(killed.pid!, 'SIGKILL');
    expect(await killed.ended).toMatchObject({ state: 'lost', error: { message: expect.stringContaining('SIGKILL') } });
  });

  it('asks first, then sends SIGTERM, then SIGKILL', async () => {
    const polite = await launch(
      `process.on('message', ({ type }) => type === 'stop' && process.send({ type: 'stopped' }, () => process.exit(0)));`,
    );
    polite.stop('test', { save: false });
    expect(await polite.ended).toEqual({ state: 'stopped' });
    const lines: string[] = [];
    const stubborn = await launch(`process.on('SIGTERM', () => console.log('no'));`, (_, line) => lines.push(line));
    // Time to write a checkpoint, until it is told to stop at once.
    stubborn.stop('test', { save: true });
    stubborn.stop('test', { save: false });
    stubborn.stop('test', { save: true });
    expect(await stubborn.ended).toEqual({ state: 'stopped' });
    expect(lines).toEqual(['no']);
  });

  it('passes on what the process writes, line by line, also its last words', async () => {
    const lines: [string, string][] = [];
    const rank = await launch(
      `process.stdout.write('one\\ntw'); process.stdout.write('o\\n\\n');
       console.error('x'.repeat(9000)); setTimeout(() => { throw new Error('boom'); }, 20);`,
      (level, line) => lines.push([level, line]),
    );
    await rank.ended;
    expect(lines.filter(([level]) => level === 'info').map(([, line]) => line)).toEqual(['one', 'two']);
    const errors = lines.filter(([level]) => level === 'warn').map(([, line]) => line);
    expect([errors[0]!.length, errors[1]!.length]).toEqual([8192, 808]);
    expect(errors.join('\n')).toContain('Error: boom');
  });
});
